"""Reading a whole ledger in pages that fit into memory."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

from unlost.audit import Behind, Sleep
from unlost.ledger.protocol import Records
from unlost.ledger.values import Copy
from unlost.moving.document import Sum
from unlost.moving.line import line_of

PAGE = 500
FIRST_PAGE = 50
HEAVIEST = 8 * 1024 * 1024
"""Tasks in one read at most, at first, and about how many bytes of texts they may hold: where
tasks are big, the next page has fewer of them."""

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a ledger whose lists follow its records is read again."""


async def pages(
    ledger: Records, after: int = 0, last: float = math.inf
) -> AsyncIterator[list[tuple[int, Copy]]]:
    """All tasks with a position above `after`, up to `last`, in order.

    Raises LedgerUnavailable.
    """
    limit = FIRST_PAGE
    while after < last and (page := await ledger.copies(after, limit)):
        after = page[-1][0]
        yield [one for one in page if one[0] <= last]
        average = sum(weight(copy) for _, copy in page) / len(page)
        limit = max(1, min(PAGE, 2 * limit, round(HEAVIEST / average)))


async def summed(ledger: Records) -> Sum:
    """Number and digest of all that a ledger keeps.  Raises LedgerUnavailable."""
    found = Sum()
    async for page in pages(ledger):
        for _, copy in page:
            found.add(line_of(copy))
    return found


async def seen_in(ledger: Records, expected: Sum, sleep: Sleep = asyncio.sleep) -> Sum:
    """The same once it is what is expected, or has had the time to come to it.

    What was written just now may be missing at first, where lists follow the records.
    """
    found = await summed(ledger)
    for pause in PAUSES if isinstance(ledger, Behind) else ():
        if found == expected:
            break
        await sleep(pause)
        found = await summed(ledger)
    return found


def weight(copy: Copy) -> int:
    """About how many bytes a task takes; never less than one."""
    task = copy.record
    texts = [task.payload, task.result]
    for one in task.attempts:
        texts += (one.error.message, one.error.traceback) if one.error else ()
    return 500 + 100 * len(task.attempts) + sum(len(text) for text in texts if text)
