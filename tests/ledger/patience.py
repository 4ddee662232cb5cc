"""How long a ledger in a test asks DynamoDB again."""

from __future__ import annotations

from random import Random

from unlost.ledger.dynamodb.connection.calls import OUTLASTED
from unlost.ledger.dynamodb.connection.retrying import Retrying


def hurried(seconds: float = OUTLASTED) -> Retrying:
    """Its pauses are counted, but take no time."""
    now = 0.0

    async def sleep(pause: float) -> None:
        nonlocal now
        now += pause

    return Retrying(seconds, random=Random(1), now=lambda: now, sleep=sleep)


def at_once() -> Retrying:
    """Gives up after the first try, as after many."""
    return Retrying(0.0)
