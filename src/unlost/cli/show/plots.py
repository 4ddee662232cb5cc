"""Plots that fit into a line of text.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

HEIGHTS = "▁▂▃▄▅▆▇█"
PARTS = " ▏▎▍▌▋▊▉"

SPANS = (60, 600, 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400)
"""Seconds that an axis of time may have."""


def sparkline(values: Sequence[float], width: int) -> str:
    """The newest `width` values, as high as they are beside the largest of them.

    Only what is zero has the lowest mark, so that little is told from nothing.
    """
    shown = values[-width:] if width > 0 else ()
    most = max(shown, default=0)
    return "".join(HEIGHTS[ceil(value / most * 7) if value > 0 else 0] for value in shown)


def bar(value: float, most: float, width: int) -> str:
    """A bar of at most `width` columns; what is above zero is seen, however little it is."""
    if value <= 0 or most <= 0 or width <= 0:
        return ""
    eighths = max(1, round(value / most * width * 8))
    whole, part = divmod(min(eighths, width * 8), 8)
    return "█" * whole + (PARTS[part] if part else "")


def binned(times: Sequence[float], start: float, end: float, bins: int) -> list[int]:
    """How many of these times lie in each of `bins` equal parts from `start` to `end`."""
    counts = [0] * bins
    for at in times:
        if start <= at <= end:
            counts[min(int((at - start) / (end - start) * bins), bins - 1)] += 1
    return counts


def axis(oldest: float) -> float:
    """An axis of time, in seconds, that reaches back as far as `oldest`."""
    return next((span for span in SPANS if oldest <= span), SPANS[-1])
