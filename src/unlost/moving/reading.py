"""Reading a whole ledger."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from operator import itemgetter

from unlost.audit import Behind, Sleep
from unlost.ledger import walking
from unlost.ledger.protocol import Records
from unlost.ledger.values import Copy
from unlost.moving.document import Sum
from unlost.moving.line import line_of

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a ledger whose lists follow its records is read again."""


def pages(
    ledger: Records, after: int = 0, last: float = math.inf
) -> AsyncIterator[list[tuple[int, Copy]]]:
    """All tasks with a position above `after`, up to `last`, in order, in pages that fit into
    memory.  Raises LedgerUnavailable.
    """
    return walking.pages(ledger.copies, itemgetter(0), after, last)


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
