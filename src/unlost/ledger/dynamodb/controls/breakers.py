"""Breakers learn how attempts end: what they remember stands with what is set for their type.

Closed, they learn it right after the settlement, in one write a type and call (1 WCU, 1 RCU).  What
is missed then (the process ends between the two, or others write all the time) is one attempt
among many.  Half open it is part of the settlement's own transaction: no probe's end is missed.
With `excuse` each failure that it may excuse is so too, in 2 WCU more: it is known which one has
opened it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from msgspec.structs import replace

from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.connection.writes import Change
from unlost.ledger.dynamodb.schema import control_key
from unlost.ledger.dynamodb.stored.control import control_of, item_of
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.protocol import LedgerUnavailable
from unlost.limits.breaker import Ending, after, excuses
from unlost.limits.control import Control
from unlost.task import Micros
from unlost.telemetry.logs import Log

TRIES = 12
PAUSE = 0.01
"""Seconds before it is tried again, at most; as much more each time."""

log = Log("unlost.ledger")


class Breaking:
    """One type's breaker as it stands in the table, while attempts of the type end."""

    def __init__(self, calls: Calls, task_type: str, random: Random) -> None:
        self._calls = calls
        self._key = control_key(task_type)
        self._random = random
        self._item: Item | None = None
        self.moved = False
        """Whether it was opened, or closed."""
        self.recovered = False
        """Whether it was closed: all may start again."""

    @property
    def closed(self) -> bool:
        """Whether all attempts may start, as far as it is concerned."""
        return self._item is None or control_of(self._item).circuit.until is None

    @property
    def excuse(self) -> bool:
        """Whether it excuses failures that open it, and probes."""
        breaker = None if self._item is None else control_of(self._item).breaker
        return breaker is not None and breaker.excuse

    async def read(self) -> None:
        """Learn how it stands."""
        self._item = await self._calls.get(self._key)

    def saw(self, item: Item | None) -> None:
        """This is how it stands, as somebody else has left it."""
        self._item = item

    def excuses(self, ending: Ending, now: Micros) -> bool:
        """Whether it excuses an attempt that ends so, as it stands."""
        control = None if self._item is None else control_of(self._item)
        if control is None or control.breaker is None:
            return False
        return excuses(control.breaker, control.circuit, ending, now)

    def after(self, endings: Sequence[Ending], now: Micros) -> Change | None:
        """What makes it know these ends, in their order; None where it knows no more then."""
        if self._item is None:
            return None
        old = control_of(self._item)
        new = _after(old, endings, now)
        return None if new == old else Change(self._item, item_of(new))

    def changed(self, change: Change) -> None:
        """This was written."""
        old, new = (control_of(item).circuit for item in (change.old, change.new))
        self.moved = self.moved or old.until != new.until
        self.recovered = old.until is not None and new.until is None

    async def learn(self, endings: Sequence[Ending], now: Micros) -> None:
        """Have it know these ends, unless others are always quicker.  Raises LedgerUnavailable."""
        for attempt in range(TRIES):
            change = self.after(endings, now)
            if change is None:
                return
            try:
                await self._calls.write(change)
            except Clash as clash:
                self.saw(clash.item)
                await asyncio.sleep(self._random.uniform(0, PAUSE * attempt))
                continue
            self.changed(change)
            return
        raise LedgerUnavailable("others write it all the time")

    async def learn_or_log(self, endings: Sequence[Ending], now: Micros) -> None:
        """The same; what cannot be learned is logged."""
        try:
            await self.learn(endings, now)
        except LedgerUnavailable as error:
            told = {"type": self._key[1], "ends": len(endings), "why": str(error)}
            log.warning("breaker.behind", extra=told)


def _after(control: Control, endings: Sequence[Ending], now: Micros) -> Control:
    breaker, circuit = control.breaker, control.circuit
    if breaker is None:
        return control
    for ending in endings:
        circuit = after(breaker, circuit, ending, now)
    return replace(control, circuit=circuit)
