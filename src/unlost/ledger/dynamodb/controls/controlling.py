"""What is set for types: pauses, limits and breakers, as all processes on the table know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.connection.writes import Change as Changed
from unlost.ledger.dynamodb.connection.writes import Delete, Put, Write
from unlost.ledger.dynamodb.controls import enrolling
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.schema import CONTROLS, control_key
from unlost.ledger.dynamodb.stored.control import control_of, item_of
from unlost.ledger.dynamodb.stored.record import HELD_BACK
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.protocol import LedgerUnavailable
from unlost.limits.breaker import Phase
from unlost.limits.control import Change, Control, Pause, changed
from unlost.task import SECOND, Micros

KNOWN_FOR: Final[Micros] = 5 * SECOND
"""How long claims go by what was read before: a claim by id must not cost a read more."""

TRIES = 50


class Controls:
    """What is set, as one ledger object knows it.  A change made elsewhere is known in 5 s."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._known: Mapping[str, Control] = {}
        self._read_at: Micros | None = None

    async def known(self, now: Micros) -> Mapping[str, Control]:
        """The controls by type."""
        if self._read_at is None or not 0 <= now - self._read_at < KNOWN_FOR:
            self._known = {control.type: control for control in await self.all()}
            self._read_at = now
        return self._known

    async def paused(self, now: Micros) -> frozenset[str]:
        """The types that are paused."""
        known = await self.known(now)
        return frozenset(name for name, control in known.items() if control.pause is not None)

    async def pulled(self, now: Micros) -> frozenset[str]:
        """The types that are marked `pull`."""
        known = await self.known(now)
        return frozenset(name for name, control in known.items() if control.pull)

    async def startable(self, now: Micros) -> list[str]:
        """The types whose tasks start without a pull, as far as limits or a breaker allow."""
        known = [one for one in (await self.known(now)).values() if not one.pause and not one.pull]
        return [one.type for one in known if one.phase(now) is not Phase.OPEN]

    def forget(self) -> None:
        """Read it anew for the next step."""
        self._read_at = None

    async def all(self) -> list[Control]:
        """What is set now, by type."""
        return [control_of(item) async for items in self._calls.walk(CONTROLS) for item in items]

    async def pause(self, pause: Pause) -> None:
        """Let no claim take tasks of this type; where it is paused already, that pause stays."""
        await self._update(pause.type, lambda old: replace(old, pause=old.pause or pause))

    async def resume(self, task_type: str, tell: Telling) -> None:
        """Let claims take them again, and hint those that are due."""
        await self._update(task_type, lambda old: replace(old, pause=None))
        tell.roomy(task_type)

    async def change(self, task_type: str, change: Change, tell: Telling, now: Micros) -> None:
        """Set limits or a breaker, or who may take them.  What runs counts for a limit that is new,
        as far as it is found; what is due is hinted, and where a mark is taken off what is due
        soon: nobody was told of it."""
        control = await self._update(task_type, lambda old: changed(old, change))
        limited = (change.limit, change.key_limit)
        if any(limit is not None and limit is not UNSET for limit in limited):
            await enrolling.enrol(self._calls, control, now)
        tell.roomy(task_type, HELD_BACK if change.pull is False else 0)

    async def _update(self, task_type: str, new: Callable[[Control], Control]) -> Control:
        """What holds then, which is read anew: a call that comes again changes nothing, and goes by
        what the first has changed, wherever that was."""
        self.forget()
        for _ in range(TRIES):
            item = await self._calls.get(control_key(task_type))
            old = Control(task_type) if item is None else control_of(item)
            control = new(old)
            if control == old:
                return control
            try:
                await self._calls.write(_write(item, control))
            except Clash:
                continue
            self.forget()  # also where it was read meanwhile
            return control
        raise LedgerUnavailable(f"others change what is set for {task_type} all the time")


def _write(old: Item | None, new: Control) -> Write:
    if old is None:
        return Put(item_of(new), only_new=True)
    if new.empty:
        return Delete(control_key(new.type), old["op"])
    return Changed(old, item_of(new))
