"""Slots: what running attempts of a limited type take up, one item for each limit that they count
for.

A limit of five is five numbers.  Who starts an attempt puts the item of a free number, only where
there is none, in the transaction that starts it; who ends the attempt removes it in the
transaction that ends it, and the record says which it has.  So nothing can drift, attempts that
start at once contend only for the same number, and a limit holds whoever races.  A number above a
limit (that was lowered, or set while more ran) keeps one of those below from being given out.

A type without limits has no slots, and costs nothing more.  Else a claim reads the slots of the
limits that it has to look at (1 RCU for some forty), and each slot costs 2 WCU, put and removed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from random import Random

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.connection.writes import Change, Delete, Put, Same
from unlost.ledger.dynamodb.controls.pacing import Paces
from unlost.ledger.dynamodb.schema import LAST, Key
from unlost.ledger.dynamodb.stored.control import control_of
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.limits.breaker import Phase
from unlost.limits.control import Claimant, Control
from unlost.task import Micros

OF_TYPE = "type"


def of_key(mark: str) -> str:
    """The group of slots of a key with this mark."""
    return f"key#{mark}"


def of_probes(until: Micros) -> str:
    """The group of slots of a breaker that is half open since then."""
    return f"probe#{until}"


def mark(stored: Stored) -> str | None:
    """The mark of a task's key."""
    return None if stored.key is None else schema.key_mark(stored.key)


def limits(control: Control, mark: str | None, now: Micros) -> list[tuple[str, int]]:
    """The groups of slots that an attempt with this key would take one of, and their sizes."""
    if control.pause is not None or control.phase(now) is Phase.OPEN:
        return [(OF_TYPE, 0)]
    found = []
    if control.limit is not None:
        found.append((OF_TYPE, control.limit))
    if control.key_limit is not None and mark is not None:
        found.append((of_key(mark), control.key_limit))
    breaker, circuit = control.breaker, control.circuit
    if breaker is not None and circuit.until is not None:
        found.append((of_probes(circuit.until), breaker.probes - circuit.passed))
    return found


def free(taken: set[int], most: int) -> list[int]:
    """The numbers that may be given out: each number above the limit holds one of them back."""
    below = [number for number in range(most) if number not in taken]
    return below[: max(0, most - len(taken))]


def group(slot: str) -> str:
    """The group of a slot's sort key."""
    return slot.rpartition("#")[0]


def _number(slot: str) -> int:
    return int(slot.rpartition("#")[2])


def slot(group: str, number: int) -> str:
    """The sort key of a slot."""
    return f"{group}#{number:06}"


class Taken(msgspec.Struct, frozen=True):
    """The room of an attempt: its slots, and the writes by which it counts as a start."""

    slots: tuple[str, ...] = ()
    starts: tuple[Put | Change, ...] = ()


class Room:
    """The slots of one type as they were read, for one claim, what it takes is taken off; and its
    paces, to be read again after each start.

    `same` has to hold when they are taken, where the limits depend on how a breaker stands.
    """

    def __init__(
        self, control: Control, taken: Mapping[str, set[int]], now: Micros, same: Same | None
    ) -> None:
        self.same = same
        self.paces = Paces(control, now)
        self._control = control
        self._taken: defaultdict[str, set[int]] = defaultdict(set, taken)
        self._now = now

    def left(self, mark: str | None) -> dict[str, int]:
        """How many attempts with this key may start, for each group that it would count for and
        each rate."""
        return self._slots_left(mark) | self.paces.left(mark)

    def _limits(self, mark: str | None) -> list[tuple[str, int]]:
        return limits(self._control, mark, self._now)

    def _slots_left(self, mark: str | None) -> dict[str, int]:
        return {group: most - len(self._taken[group]) for group, most in self._limits(mark)}

    def when(self, mark: str | None) -> Micros | None:
        """When rates let an attempt with this key start; None where it is not they that it waits
        for."""
        if any(number < 1 for number in self._slots_left(mark).values()):
            return None
        return max(self.paces.free_at(one) for one in (None, mark))

    def take(self, mark: str | None, random: Random) -> Taken | None:
        """A slot of each group, drawn at random so that others draw others; None without room."""
        starts = self.paces.take(mark, random)
        if starts is None:
            return None
        drawn: dict[str, int] = {}
        for name, most in self._limits(mark):
            numbers = free(self._taken[name], most)
            if not numbers:
                return None
            drawn[name] = random.choice(numbers)
        for name, number in drawn.items():
            self._taken[name].add(number)
        found = tuple(slot(name, number) for name, number in drawn.items())
        return Taken(found, tuple(starts))

    def give_back(self, taken: Taken) -> None:
        """What was taken is not needed after all."""
        for one in taken.slots:
            self._taken[group(one)].discard(_number(one))

    def beyond(self, name: str) -> str:
        """The first slot of a group that is free, be it above its limit."""
        number = next(n for n in count() if n not in self._taken[name])
        self._taken[name].add(number)
        return slot(name, number)


class Closed(Room):
    """The room of a type that is not the claimant's to take: none."""

    def _limits(self, mark: str | None) -> list[tuple[str, int]]:
        return [(OF_TYPE, 0)]


async def read(calls: Calls, control: Control, now: Micros) -> Room:
    """The room of a type as it is now, whatever key a task has."""
    names = _groups(control, None, now)
    if names is None:
        return Room(control, {}, now, None)
    room = await _read(calls, control, now, names + ["key"] * (control.key_limit is not None))
    await room.paces.read(calls, ())
    return room


async def read_for(calls: Calls, control: Control, mark: str | None, now: Micros) -> Room:
    """The room of a type as it is now, as far as tasks with this key are concerned."""
    names = _groups(control, mark, now)
    if names is None:
        return Room(control, {}, now, None)
    room = await _read(calls, control, now, names)
    await room.paces.read(calls, [mark])
    return room


def _groups(control: Control, mark: str | None, now: Micros) -> list[str] | None:
    """The groups to read; None where there is no room whatever they say."""
    pairs = limits(control, mark, now)
    return None if any(most <= 0 for _, most in pairs) else [name for name, _ in pairs]


async def _read(calls: Calls, control: Control, now: Micros, names: Sequence[str]) -> Room:
    """While a breaker is half open it is read anew, after the slots: what a probe gave back has
    been counted by then."""
    taken: defaultdict[str, set[int]] = defaultdict(set)
    pages = await together(_taken(calls, control.type, f"{name}#") for name in names)
    for name, number in (one for page in pages for one in page):
        taken[name].add(number)
    same = None
    if control.phase(now) is Phase.HALF_OPEN:
        item = await calls.get(schema.control_key(control.type))
        if item is not None:
            control, same = control_of(item), Same(schema.control_key(control.type), item["op"])
    return Room(control, taken, now, same)


async def counted(calls: Calls, task_type: str) -> Counter[str]:
    """How many slots of a type are taken now, by group."""
    return Counter([name for name, _ in await _taken(calls, task_type, "")])


async def _taken(calls: Calls, task_type: str, prefix: str) -> list[tuple[str, int]]:
    pages = calls.walk(schema.slots_pk(task_type), low=prefix or None, high=prefix + LAST)
    slots = [item["sk"] async for items in pages for item in items]
    return [(group(sk), _number(sk)) for sk in slots]


class Rooms:
    """The rooms of all types for one claim, each read once it is asked about.

    `controls` are of the types for which something is set; `claimant` is who claims.
    """

    def __init__(
        self,
        calls: Calls,
        controls: Mapping[str, Control],
        now: Micros,
        claimant: Claimant = Claimant.LOCAL,
    ) -> None:
        self._calls = calls
        self._controls = controls
        self._now = now
        self._claimant = claimant
        self._rooms: dict[str, Room] = {}
        self._reading = asyncio.Lock()

    async def know(self, types: Iterable[str]) -> None:
        """Read those of these types that are limited and not known."""
        limited = {*types} & self._controls.keys()
        async with self._reading:  # a second room would know nothing of what the first was told
            await together(self.refresh(name) for name in limited - self._rooms.keys())

    async def know_keys(self, pairs: Iterable[tuple[str, str | None]]) -> None:
        """Read the paces of these keys, each with its type, which is known."""
        asked: defaultdict[str, set[str | None]] = defaultdict(set)
        for name, mark in pairs:
            room = self._rooms.get(name)
            if room is not None and room.paces.asks(mark):
                asked[name].add(mark)
        await together(
            self._rooms[name].paces.read(self._calls, marks) for name, marks in asked.items()
        )

    async def refresh(self, task_type: str) -> None:
        """Read a type's room anew, whatever keys it is asked about."""
        control = self._controls[task_type]
        if control.open_to(self._claimant):
            self._rooms[task_type] = await read(self._calls, control, self._now)
        else:
            self._rooms[task_type] = Closed(control, {}, self._now, None)

    def paced(self, task_type: str) -> bool:
        """Whether a type has a rate, of its own or of its keys."""
        control = self._controls.get(task_type)
        return control is not None and control.paced

    def of(self, task_type: str) -> Room | None:
        """The room of a type that is known; None where nothing limits it."""
        return self._rooms.get(task_type)

    def any(self, task_type: str, mark: str | None) -> bool:
        """Whether an attempt may start."""
        return Promised(self).take(task_type, mark)

    def when(self, task_type: str, mark: str | None) -> Micros | None:
        """When rates let an attempt start; None where it is not they that it waits for."""
        room = self.of(task_type)
        return self._now if room is None else room.when(mark)


class Promised:
    """What of the room is meant for tasks that are still to be looked at."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._given: Counter[tuple[str, str]] = Counter()

    def take(self, task_type: str, mark: str | None) -> bool:
        """Promise the room of one attempt, if there is any."""
        room = self._rooms.of(task_type)
        left = {} if room is None else room.left(mark)
        if any(number <= self._given[task_type, name] for name, number in left.items()):
            return False
        self._given.update((task_type, name) for name in left)
        return True

    def give_back(self, task_type: str, mark: str | None) -> None:
        """What was promised is not needed after all."""
        room = self._rooms.of(task_type)
        self._given.subtract((task_type, name) for name in (room.left(mark) if room else ()))


def put(stored: Stored, slots: Iterable[str]) -> list[Put]:
    """The writes that take these slots for the attempt that `stored` has."""
    item: Item = {"pk": schema.slots_pk(stored.type), "task_id": stored.task_id}
    item |= {"token": stored.token, "key": stored.key}
    return [Put({**item, "sk": sk}, only_new=True) for sk in slots]


def waited_for(stored: Stored) -> set[tuple[str, str | None]]:
    """What a task that waits for a slot of this attempt is of: its type, and its key's mark where
    only those with that key wait."""
    marks = [one.split("#")[1] if one.startswith("key#") else None for one in stored.slots]
    return {(stored.type, mark) for mark in marks}


def given_back(stored: Stored) -> tuple[Delete, ...]:
    """The writes that give back what the attempt has taken."""
    keys: list[Key] = [(schema.slots_pk(stored.type), sk) for sk in stored.slots]
    return tuple(map(Delete, keys))
