"""Lines over a logarithmic axis, as a picture for a page: SVG, by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH, HEIGHT = 860, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 260, 50, 50
COLOURS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#000000",
)  # fmt: skip
"""Told apart by those who see few colours, too."""

Points = Sequence[tuple[float, float]]


def growth(title: str, lines: Mapping[str, Points], bound: float) -> str:
    """A picture of some lines; x is shown by powers of ten, and the bound as a dashed line."""
    xs = [math.log10(x) for points in lines.values() for x, _ in points]
    low, high = math.floor(min(xs)), math.ceil(max(xs))
    high += low == high
    most = max(bound, *(y for points in lines.values() for _, y in points)) * 1.1

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / (high - low)
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - y / most * (HEIGHT - TOP - BOTTOM),
        )

    parts = [_text(LEFT, 28, title, "font-weight='bold'")]
    for power in range(low, high + 1):
        x, base = place(10**power, 0)
        parts += [_line(x, TOP, x, base, "#e5e5e5"), _text(x - 20, base + 20, f"{10**power:,}")]
    step = 10 ** math.floor(math.log10(most)) / 2
    for number in range(int(most / step) + 1):
        at, y = place(10**low, number * step)
        parts += [
            _line(at, y, WIDTH - RIGHT, y, "#e5e5e5"),
            _text(12, y + 4, f"{number * step:g}"),
        ]
    left, y = place(10**low, bound)
    parts.append(_line(left, y, WIDTH - RIGHT, y, "#888", "stroke-dasharray='6 4'"))
    parts.append(_text(WIDTH - RIGHT + 8, TOP - 8, f"dashed: the bound, {bound:g}", "fill='#666'"))
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in points)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += [
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colour}'/>"
            for x, y in (place(*point) for point in points)
        ]
        told = f"{name}: {points[-1][1]:.2f}"
        parts.append(_text(WIDTH - RIGHT + 8, TOP + 14 + 18 * number, told, f"fill='{colour}'"))
    inside = "\n".join(parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}'"
        f" font-family='sans-serif' font-size='13' role='img'>\n<title>{escape(title)}</title>\n"
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>\n{inside}\n</svg>\n"
    )


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, more: str = "") -> str:
    place = f"x1='{x:.1f}' y1='{y:.1f}' x2='{to_x:.1f}' y2='{to_y:.1f}'"
    return f"<line {place} stroke='{colour}' {more}/>"


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {more}>{escape(words)}</text>"
