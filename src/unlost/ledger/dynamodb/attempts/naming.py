"""The types that workers name which claim by the API, as one ledger object knows them."""

from __future__ import annotations

from collections.abc import Collection

from unlost.ledger.dynamodb.attempts import workers
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.controls.controlling import KNOWN_FOR
from unlost.task import Micros


class Named:
    """Read once in a while: a claim by id must not cost a read more."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._known: Collection[str] = ()
        self._read_at: Micros | None = None

    async def known(self, now: Micros) -> Collection[str]:
        """The types that were named lately."""
        if self._read_at is None or not 0 <= now - self._read_at < KNOWN_FOR:
            self._known = await workers.named(self._calls, now)
            self._read_at = now
        return self._known

    def forget(self) -> None:
        """Read it anew for the next step."""
        self._read_at = None
