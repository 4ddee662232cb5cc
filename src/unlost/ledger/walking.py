"""Walking over all tasks of a ledger, in pages that are bounded by bytes."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

ROOM: Final = 2 * 1024 * 1024
"""Bytes that a page weighs about."""

FIRST: Final = 50
MOST: Final = 500
"""Tasks in a page at most: in the first one, and in any."""


async def pages(
    read: Callable[[int, int, int], Awaitable[list[T]]],
    place: Callable[[T], int],
    after: int = 0,
    last: float = math.inf,
) -> AsyncIterator[list[T]]:
    """What `read` (a ledger's `entries` or `copies`) gives of all tasks with a position above
    `after` and up to `last`, in order; `place` tells the position.

    Where tasks are big, fewer are asked for next, since a ledger may have to look at all of them.
    """
    limit = FIRST
    while after < last and (page := await read(after, limit, ROOM)):
        after = place(page[-1])
        yield [one for one in page if place(one) <= last]
        limit = min(MOST, 2 * len(page))
