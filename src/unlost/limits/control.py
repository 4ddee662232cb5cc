"""What people may set for a type of tasks, and how many attempts may start because of it.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from math import inf

import msgspec
from msgspec import UNSET, UnsetType

from unlost.limits import rate
from unlost.limits.breaker import Breaker, Circuit, Phase
from unlost.limits.rate import LIFTED, NEVER_STARTED, Nanos, Pace
from unlost.task import SECOND, Micros

MAX_LIMIT = 100_000

NAMED_FOR: Micros = 55 * SECOND
"""How long what a worker has named that claims by the API counts as named beyond its lease: with
the shortest lease, for a minute after it was named."""


class Claimant(Enum):
    """Who claims, as far as it decides which types it may take."""

    LOCAL = "local"
    """A worker over the ledger: no type that is marked `pull`."""

    STAND_IN = "stand_in"
    """One whose handler stands in for any: no type either that a worker which claims by the API
    has named lately."""

    PULL = "pull"
    """A worker that claims by the API."""


class Pause(msgspec.Struct, frozen=True):
    """Tasks of this type wait, since then: no claim takes one."""

    type: str
    at: Micros
    by: str | None = None
    reason: str | None = None


class Control(msgspec.Struct, frozen=True):
    """What holds for a type, in all processes.

    At most `limit` of its attempts run at once, and at most `key_limit` of those whose tasks have
    the same key.  `circuit` is what its `breaker` remembers.  At most `rate` of its attempts start
    a second, and at most `key_rate` of those whose tasks have the same key.  With `pull` only
    workers that claim by the API take its tasks.
    """

    type: str
    pause: Pause | None = None
    limit: int | None = None
    key_limit: int | None = None
    breaker: Breaker | None = None
    circuit: Circuit = Circuit()
    rate: float | None = None
    key_rate: float | None = None
    pull: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is set."""
        limits = (self.limit, self.key_limit, self.rate, self.key_rate)
        return not self.pull and (self.pause, self.breaker, *limits) == (None,) * 6

    @property
    def paced(self) -> bool:
        """Whether a rate is set, of the type or of its keys."""
        return self.rate is not None or self.key_rate is not None

    @property
    def by_key(self) -> bool:
        """Whether tasks may have to wait for others with the same key."""
        return self.key_limit is not None or self.key_rate is not None

    def open_to(self, claimant: Claimant) -> bool:
        """Whether its tasks are this claimant's to take."""
        return claimant is Claimant.PULL or not self.pull

    def phase(self, now: Micros) -> Phase | None:
        """How the breaker stands, if there is one."""
        return None if self.breaker is None else self.circuit.phase(now)


class Change(msgspec.Struct, frozen=True):
    """What to set anew for a type; None removes it, UNSET leaves it.  A breaker that is set
    begins closed."""

    limit: int | UnsetType | None = UNSET
    key_limit: int | UnsetType | None = UNSET
    breaker: Breaker | UnsetType | None = UNSET
    rate: float | UnsetType | None = UNSET
    key_rate: float | UnsetType | None = UNSET
    pull: bool | UnsetType = UNSET

    @property
    def by_key(self) -> bool:
        """Whether it may let tasks start that waited for others with the same key."""
        return self.key_limit is not UNSET or self.key_rate is not UNSET


def left_to_others(controls: Iterable[Control], named: Collection[str]) -> list[Control]:
    """What is set as it holds for a stand-in: types that were named are as if marked `pull`."""
    known = {control.type: control for control in controls}
    names = sorted(known.keys() | set(named))
    found = ((name, known.get(name, Control(name))) for name in names)
    return [msgspec.structs.replace(one, pull=one.pull or name in named) for name, one in found]


def shown(controls: Iterable[Control]) -> list[Control]:
    """What is set, as people see it: a rate that was taken away is none."""
    seen = (
        msgspec.structs.replace(one, key_rate=None) if one.key_rate == LIFTED else one
        for one in controls
    )
    return [one for one in seen if not one.empty]


def changed(control: Control, change: Change) -> Control:
    """What holds after a change."""
    named = ((name, getattr(change, name)) for name in change.__struct_fields__)
    new = {name: value for name, value in named if value is not UNSET}
    if "breaker" in new:
        new["circuit"] = Circuit()
    return msgspec.structs.replace(control, **new)


class Run(msgspec.Struct, frozen=True, gc=False):
    """An attempt that runs, as far as it takes room."""

    type: str
    key: str | None
    started_at: Micros


Paced = tuple[str, str | None]
"""What a rate is kept to for: a type (without a key), or a key of a type."""


class Rooms:
    """How many attempts may start beside those that run, and when one may.

    For one claim, of this claimant: what it takes is taken off.  `paces` say how far ahead starts
    are; a type or key of which nothing is known has had none.
    """

    def __init__(
        self,
        controls: Iterable[Control],
        running: Iterable[Run],
        now: Micros,
        paces: Mapping[Paced, Pace] | None = None,
        claimant: Claimant = Claimant.LOCAL,
    ) -> None:
        self._controls = {control.type: control for control in controls}
        self._now = now
        self._paces: dict[Paced, Pace | None] = dict(paces or {})
        self._taken: Counter[Paced] = Counter()
        some = [run for run in running if run.type in self._controls]
        self._running = Counter((run.type, run.key) for run in some if run.key is not None)
        self._room = {
            name: _room(control, [run for run in some if run.type == name], now, claimant)
            for name, control in self._controls.items()
        }

    @property
    def paced_types(self) -> bool:
        """Whether any of the types has a rate, of its own or of its keys."""
        return any(control.paced for control in self._controls.values())

    def asks(self, name: str, key: str | None) -> bool:
        """Whether it has to know the pace of a type, or of a key, which it was not told."""
        return self._rate((name, key)) is not None and (name, key) not in self._paces

    def key_rate(self, name: str) -> float | None:
        """The rate of each key of a type."""
        return self._rate((name, ""))

    def know(self, paced: Paced, pace: Pace | None) -> None:
        """This is the pace of a type or key, if it has one."""
        self._paces[paced] = pace

    def of_type(self, name: str) -> float:
        """How many of a type may start; infinity where nothing limits them."""
        return min(self._room.get(name, inf), self._by_rate((name, None)))

    def of_key(self, name: str, key: str | None) -> float:
        """How many with this key may, as far as the key is concerned."""
        return inf if key is None else min(self._by_limit(name, key), self._by_rate((name, key)))

    def any(self, name: str, key: str | None) -> bool:
        """Whether an attempt may start."""
        return self.of_type(name) >= 1 and self.of_key(name, key) >= 1

    def when(self, name: str, key: str | None) -> Micros | None:
        """From when on an attempt may start as far as rates are concerned, before anything is
        taken; None where there is no room for another reason."""
        if self._room.get(name, inf) < 1 or (key is not None and self._by_limit(name, key) < 1):
            return None
        return max(self._next_start((name, None)), self._next_start((name, key)))

    def free_at(self, name: str, key: str | None) -> Micros | None:
        """When the rate of a type, or of a key, lets the next attempt start, where that is not
        now."""
        following = self._next_start((name, key))
        return following if following > self._now else None

    def take(self, name: str, key: str | None) -> bool:
        """Take the room of one attempt, if there is any."""
        if not self.any(name, key):
            return False
        if name in self._room:
            self._room[name] -= 1
        self._taken.update({(name, None), (name, key)})
        if key is not None:
            self._running[name, key] += 1
        return True

    def paced(self, started: Iterable[Paced], waiting: Iterable[Paced] = ()) -> dict[Paced, Pace]:
        """The paces once these attempts, each of a type and key, have started now; and those of
        keys whose tasks are `waiting`, where it is a rate that they wait for."""
        counted = Counter(each for one in started for each in {one, (one[0], None)})
        late = {one for one in waiting if one not in counted and self._next_start(one) > self._now}
        return {
            one: Pace(limit, rate.after(limit, self._at(one), self._now, counted[one]))
            for one in [*counted, *late]
            if (limit := self._rate(one)) is not None
        }

    def _rate(self, paced: Paced) -> float | None:
        control = self._controls.get(paced[0])
        if control is None:
            return None
        return control.rate if paced[1] is None else control.key_rate

    def _by_limit(self, name: str, key: str) -> float:
        control = self._controls.get(name)
        if control is None or control.key_limit is None:
            return inf
        return max(0, control.key_limit - self._running[name, key])

    def _by_rate(self, paced: Paced) -> float:
        limit = self._rate(paced)
        if limit is None:
            return inf
        return max(0, rate.allowed(limit, self._at(paced), self._now) - self._taken[paced])

    def _next_start(self, paced: Paced) -> Micros:
        limit = self._rate(paced)
        if limit is None:
            return self._now
        return rate.next_start(limit, self._at(paced), self._now)

    def _at(self, paced: Paced) -> Nanos:
        pace = self._paces.get(paced)
        return NEVER_STARTED if pace is None or pace.rate != self._rate(paced) else pace.at


def _room(control: Control, running: list[Run], now: Micros, claimant: Claimant) -> float:
    if control.pause is not None or not control.open_to(claimant):
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
