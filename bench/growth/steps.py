"""What a user feels of a ledger's size: each step, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from tests.conformance.stage import ended, submission
from unlost.carried import Carried, Parent, write
from unlost.ledger.measured import Measured
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import (
    Claim,
    Claimed,
    Order,
    Query,
    RedriveQuery,
    Worker,
)
from unlost.limits.control import Change
from unlost.policy import Limits
from unlost.redrive import Named, Redrive, RedriveState
from unlost.schedule import acting
from unlost.schedule.planned import times_of, tzdata
from unlost.schedule.schedule import Plan
from unlost.task import SECOND, Event, Outcome, State

AT_ONCE: Final = 100
FEW: Final = 60
"""Redrives, schedules and children of one task: more than a page has."""

DIED: Final = Order.DIED


class Client:
    """Submits, claims and settles on one ledger, as clients and a worker do."""

    def __init__(self, ledger: Ledger, random: Random, payload: str) -> None:
        self.ledger = ledger
        self._random = random
        self._payload = payload
        self._claimed: list[Claimed] = []

    def _name(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    async def submit(self, many: int = 1, parent: str | None = None) -> None:
        """Add tasks that are due at once, under ids in no order."""
        names = [self._name() for _ in range(many)]
        carried = None if parent is None else write(Carried(parent=Parent(parent, 1)))
        new = [submission(one, self._payload, carried=carried) for one in names]
        await self.ledger.submit(new)

    async def enlist(self) -> None:
        """Let its worker claim."""
        await self.ledger.enlist(Worker("bench"), 24 * 3600 * SECOND)

    async def claim(self) -> None:
        """Start attempts."""
        tokens = [self._name() for _ in range(AT_ONCE)]
        wanted = Claim("bench", tokens, None, Limits(2, 60.0))
        self._claimed = await self.ledger.claim(wanted)

    async def settle(self) -> None:
        """End the attempts that were claimed last."""
        done = [ended(one, Outcome.SUCCEEDED, Event.SUCCEED) for one in self._claimed]
        if len(done) != AT_ONCE or not all(await self.ledger.settle(done)):
            raise RuntimeError("not all were claimed and settled")

    async def prepare(self) -> None:
        """What does not grow: a worker, schedules, limits, redrives, one task's children."""
        ledger = self.ledger
        await self.enlist()
        plan = Plan(type="type0", payload="{}", digest=bytes(32), cron="0 0 1 1 *")
        now, _ = await ledger.schedule("")
        times, zones = times_of(plan), tzdata()
        moves = [acting.created(f"s{n}", plan, times, now, zones, paused=False) for n in range(FEW)]
        for at in range(0, FEW, ledger.moves_at_once):
            await ledger.move_schedules(moves[at : at + ledger.moves_at_once])
        for n in range(FEW):
            await ledger.change(f"limited{n}", Change(limit=5))
            await ledger.add_redrive(Redrive(f"r{n}", named=True), Named(task_ids=()))
            await ledger.step_redrive(f"r{n}")
        await self.submit(FEW, parent="parent")


async def _metrics(ledger: Ledger) -> None:
    """What `/metrics` reads."""
    await ledger.counts()
    await ledger.count_redrives()
    await ledger.open_redrives(20)
    await ledger.controls()
    await ledger.due_schedules(0)
    if isinstance(ledger, Measured):
        await ledger.sum_measures()


Step = Callable[[Client], Awaitable[object]]

WRITES: Final[dict[str, Step]] = {
    "submit": lambda client: client.submit(),
    f"submit of {AT_ONCE}": lambda client: client.submit(AT_ONCE),
    f"claim of {AT_ONCE}": lambda client: client.claim(),
    f"settlement of {AT_ONCE}": lambda client: client.settle(),
}

PAGES: Final[dict[str, Query]] = {
    "tasks": Query(),
    **{f"tasks, {state}": Query(state=state) for state in State},
    "tasks of a type": Query(type="type3"),
    "tasks of a type, succeeded": Query(type="type3", state=State.SUCCEEDED),
    "tasks of a type, dead": Query(type="type3", state=State.DEAD, limit=10),
    "tasks of a type that none has": Query(type="none"),
    "tasks by their ids' beginning": Query(id_prefix="7"),
    "tasks of a time": Query(since=0, until=10**17),
    "tasks of a parent": Query(parent="parent"),
    "dead letters": Query(order=DIED),
    "dead letters of a type": Query(order=DIED, type="type3", limit=10),
    "dead letters of an error": Query(order=DIED, error="Boom3", limit=10),
    "dead letters of a fingerprint": Query(order=DIED, error="f3", limit=10),
}


def _page(query: Query) -> Step:
    return lambda client: client.ledger.page(query)


LISTS: Final[dict[str, Step]] = {
    **{name: _page(query) for name, query in PAGES.items()},
    "groups": lambda client: client.ledger.groups(),
    "groups of a key's types": lambda client: client.ledger.groups(types=("type3",)),
    "redrives": lambda client: client.ledger.list_redrives(RedriveQuery()),
    "redrives that are done": lambda client: client.ledger.list_redrives(
        RedriveQuery(state=RedriveState.DONE)
    ),
    "schedules": lambda client: client.ledger.schedules("", 50, payloads=False),
    "ticks": lambda client: client.ledger.ticks("s3", 50),
    "workers": lambda client: client.ledger.workers(),
    "effects": lambda client: client.ledger.list_effects(None, 50),
    "keys": lambda client: client.ledger.keys(),
    "/types": lambda client: client.ledger.controls(),
    "/stats": lambda client: client.ledger.counts(),
    "/metrics": lambda client: _metrics(client.ledger),
}
