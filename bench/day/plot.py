"""The samples of a day as a drawing (SVG)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from bench.day.judging import remains
from bench.day.samples import Sample

WIDTH: Final = 520
HEIGHT: Final = 130
LEFT: Final = 44
TOP: Final = 34
RIGHT: Final = 150
STEP: Final = HEIGHT + TOP + 24

COLOURS: Final = (
    "#0b6e99", "#c4500a", "#2f7d32", "#8e3b9e", "#7a5c00", "#b00020", "#455a64",
)  # fmt: skip

Line = tuple[str, Callable[[Sample], float | None]]

MIB: Final = 2.0**20


def _memory(name: str) -> Line:
    def value(one: Sample) -> float | None:
        seen = one.processes.get(name)
        return None if seen is None else seen.rss / MIB

    return name, value


PANELS: Final[tuple[tuple[str, tuple[Line, ...]], ...]] = (
    (
        "memory of processes that nobody harms (RSS, MiB)",
        tuple(
            _memory(name)
            for name in (
                "steady api", "steady worker", "steady supervisor", "pulling worker",
                "pulling supervisor",
            )
        ),
    ),
    (
        "memory of processes that are killed, paused, restarted (RSS, MiB)",
        tuple(_memory(f"harmed {role}") for role in ("api", "worker", "supervisor")),
    ),
    (
        "on disk (MiB)",
        (
            ("file", lambda one: one.sizes.file / MIB),
            ("in use", lambda one: (one.sizes.file - one.sizes.free) / MIB),
            ("tables with remains", lambda one: remains(one) / MIB),
            ("write-ahead log", lambda one: one.sizes.log / MIB),
        ),
    ),
    (
        "descriptors and threads",
        (
            ("steady api", lambda one: _open(one, "steady api")),
            ("steady worker", lambda one: _open(one, "steady worker")),
            ("steady supervisor", lambda one: _open(one, "steady supervisor")),
        ),
    ),
    ("oldest due task (s)", (("waited", lambda one: one.lag),)),
)  # fmt: skip


def _open(one: Sample, name: str) -> float | None:
    seen = one.processes.get(name)
    return None if seen is None else seen.descriptors + seen.threads


def draw(samples: Sequence[Sample]) -> str:
    """A column of panels for each home."""
    homes = list(dict.fromkeys(one.home for one in samples))
    parts = []
    for column, home in enumerate(homes):
        of_home = [one for one in samples if one.home == home]
        for row, (title, lines) in enumerate(PANELS):
            x, y = column * (LEFT + WIDTH + RIGHT) + LEFT, row * STEP + TOP
            parts.append(
                f'<g transform="translate({x} {y})">{_panel(home, title, lines, of_home)}</g>'
            )
    width, height = len(homes) * (LEFT + WIDTH + RIGHT), len(PANELS) * STEP + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _panel(home: str, title: str, lines: Sequence[Line], samples: Sequence[Sample]) -> str:
    values = {name: [(one.at, of(one)) for one in samples] for name, of in lines}
    known = [value for points in values.values() for _, value in points if value is not None]
    most = max([*known, 1.0]) * 1.08
    end = max(samples[-1].at, 1.0)
    drawn = [
        f'<text y="-8" font-weight="bold">{escape(home)}: {escape(title)}</text>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        at = HEIGHT * (1 - share)
        drawn.append(f'<text x="-4" y="{at + 4:.0f}" text-anchor="end">{most * share:.3g}</text>')
    drawn += [
        f'<text x="{WIDTH * share:.0f}" y="{HEIGHT + 14}" text-anchor="middle">'
        f"{_time(end * share)}</text>"
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    for place, ((name, points), colour) in enumerate(zip(values.items(), COLOURS, strict=False)):
        path = _path([(WIDTH * at / end, _height(value, most)) for at, value in points])
        drawn.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
            f'<text x="{WIDTH + 8}" y="{12 + 15 * place}" fill="{colour}">{escape(name)}</text>'
        )
    return "".join(drawn)


def _height(value: float | None, most: float) -> float | None:
    return None if value is None else HEIGHT * (1 - value / most)


def _path(points: Sequence[tuple[float, float | None]]) -> str:
    """A line with a gap wherever there is no value."""
    path, pen = [], "M"
    for x, y in points:
        if y is None:
            pen = "M"
        else:
            path.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
    return "".join(path)


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.0f} min"
