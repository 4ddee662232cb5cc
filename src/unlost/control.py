"""What people may set for a type of tasks, and how many attempts may start because of it.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import inf

import msgspec
from msgspec import UNSET, UnsetType

from unlost.breaker import Breaker, Circuit, Phase
from unlost.task import Micros

MAX_LIMIT = 100_000


class Pause(msgspec.Struct, frozen=True):
    """Tasks of this type wait, since then: no claim takes one."""

    type: str
    at: Micros
    by: str | None = None
    reason: str | None = None


class Control(msgspec.Struct, frozen=True):
    """What holds for a type, in all processes.

    At most `limit` of its attempts run at once, and at most `key_limit` of those whose tasks have
    the same key.  `circuit` is what its `breaker` remembers.
    """

    type: str
    pause: Pause | None = None
    limit: int | None = None
    key_limit: int | None = None
    breaker: Breaker | None = None
    circuit: Circuit = Circuit()

    @property
    def empty(self) -> bool:
        """Whether nothing is set."""
        return (self.pause, self.limit, self.key_limit, self.breaker) == (None,) * 4

    def phase(self, now: Micros) -> Phase | None:
        """How the breaker stands, if there is one."""
        return None if self.breaker is None else self.circuit.phase(now)


class Change(msgspec.Struct, frozen=True):
    """What to set anew for a type; None removes it, UNSET leaves it.  A breaker that is set
    begins closed."""

    limit: int | UnsetType | None = UNSET
    key_limit: int | UnsetType | None = UNSET
    breaker: Breaker | UnsetType | None = UNSET


def changed(control: Control, change: Change) -> Control:
    """What holds after a change."""
    new = {
        name: value
        for name in ("limit", "key_limit", "breaker")
        if (value := getattr(change, name)) is not UNSET
    }
    if "breaker" in new:
        new["circuit"] = Circuit()
    return msgspec.structs.replace(control, **new)


class Run(msgspec.Struct, frozen=True, gc=False):
    """An attempt that runs, as far as it takes room."""

    type: str
    key: str | None
    started_at: Micros


class Rooms:
    """How many attempts may start beside those that run.

    For one claim: what it takes is taken off.
    """

    def __init__(self, controls: Iterable[Control], running: Iterable[Run], now: Micros) -> None:
        self._controls = {control.type: control for control in controls}
        some = [run for run in running if run.type in self._controls]
        self._running = Counter((run.type, run.key) for run in some if run.key is not None)
        self._room = {
            name: _room(control, [run for run in some if run.type == name], now)
            for name, control in self._controls.items()
        }

    def of_type(self, name: str) -> float:
        """How many of a type may start; infinity where nothing limits them."""
        return self._room.get(name, inf)

    def of_key(self, name: str, key: str | None) -> float:
        """How many with this key may, as far as the key is concerned."""
        control = self._controls.get(name)
        if key is None or control is None or control.key_limit is None:
            return inf
        return max(0, control.key_limit - self._running[name, key])

    def any(self, name: str, key: str | None) -> bool:
        """Whether an attempt may start."""
        return self.of_type(name) >= 1 and self.of_key(name, key) >= 1

    def take(self, name: str, key: str | None) -> bool:
        """Take the room of one attempt, if there is any."""
        if not self.any(name, key):
            return False
        if name in self._room:
            self._room[name] -= 1
        if key is not None:
            self._running[name, key] += 1
        return True


def _room(control: Control, running: list[Run], now: Micros) -> float:
    if control.pause is not None:
        return 0
    rooms = [inf]
    if control.limit is not None:
        rooms.append(control.limit - len(running))
    breaker, until = control.breaker, control.circuit.until
    if breaker is not None and until is not None:
        probes = sum(run.started_at >= until for run in running)
        half_open = control.circuit.phase(now) is Phase.HALF_OPEN
        rooms.append(breaker.probes - control.circuit.passed - probes if half_open else 0)
    return max(0, min(rooms))
