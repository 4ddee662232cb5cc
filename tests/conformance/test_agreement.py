"""SQLite steps beside the specification: same steps, same clock, same tokens, same answers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec.structs import replace

from tests.conformance.stage import Clock, must_add_up, pages
from tests.conformance.steps import (
    ERRORS,
    START,
    TYPES,
    WORKERS,
    Ending,
    Who,
    endings,
    ids,
    names,
    payloads,
    people,
    queries,
    selections,
    settlement,
    submissions,
    workers,
)
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import (
    EVERYTHING,
    Claim,
    Claimed,
    Entry,
    Group,
    Held,
    LeaseOver,
    Ledger,
    Order,
    Query,
    Refused,
    Selection,
    UnknownTask,
    Worker,
)
from unlost.policy import WORKER_LOST, Limits
from unlost.task import SECOND, Outcome, Record, State, Submission, TaskError

T = TypeVar("T")

ALL = Query(limit=100, parts=EVERYTHING)
DEAD = Query(order=Order.DIED, limit=100)


@dataclass(frozen=True)
class Refusal:
    """An error of the protocol, to be compared."""

    kind: type[Exception]
    state: State | None


class Agreement(RuleBasedStateMachine):
    """Every rule does one step on both ledgers and compares what they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock(START)
        self.specification: Ledger = MemoryLedger(self.clock)
        self.sqlite = self.open()
        self.numbers = count(1)
        self.attempts: list[Claimed] = []
        self.running: list[Claimed] = []
        self.dead: list[str] = []
        self.reports: list[int] = []

    def open(self) -> Ledger:
        path = Path(self.folder.name, "ledger.db")
        return self.runner.run(open_ledger(f"sqlite:///{path}", self.clock))

    def both(
        self,
        step: Callable[[Ledger], Awaitable[T]],
        seen: Callable[[T], object] = lambda answer: answer,
    ) -> T | None:
        """What both answer; None is for a refusal.  `seen` is what has to be equal."""
        expected = self.runner.run(answer(step, self.specification))
        found = self.runner.run(answer(step, self.sqlite))
        if isinstance(expected, Refusal) or isinstance(found, Refusal):
            assert found == expected
            return None
        assert seen(found) == seen(expected)
        return expected

    # Submitting and attempts

    @initialize(batch=st.lists(submissions, min_size=4, max_size=8))
    def begin(self, batch: list[Submission]) -> None:
        self.submit(batch)
        for worker in WORKERS:
            self.enlist(worker, 60)

    @rule(batch=st.lists(submissions, min_size=1, max_size=4))
    def submit(self, batch: list[Submission]) -> None:
        self.both(lambda ledger: ledger.submit(batch))

    @rule(worker=workers, lease=st.sampled_from([5, 60]))
    def enlist(self, worker: Worker, lease: int) -> None:
        self.both(lambda ledger: ledger.enlist(worker, lease * SECOND))

    @rule(chosen=st.sets(names), lease=st.sampled_from([5, 60]))
    def extend(self, chosen: set[str], lease: int) -> None:
        self.both(lambda ledger: ledger.extend(chosen, lease * SECOND))

    @rule(worker=names, expired=st.booleans())
    def dismiss(self, worker: str, expired: bool) -> None:
        self.both(lambda ledger: ledger.dismiss(worker, expired=expired))

    @rule(
        worker=workers,
        most=st.integers(0, 4),
        defaults=st.sampled_from([Limits(2, 60.0), Limits(0, 5.0)]),
    )
    def claim(self, worker: Worker, most: int, defaults: Limits) -> None:
        tokens = [f"token-{next(self.numbers)}" for _ in range(most)]
        types = worker.types and dict.fromkeys(worker.types, Limits(1, None))
        wanted = Claim(worker.id, tokens, types, defaults, worker.alone)
        self.attempts += self.both(lambda ledger: ledger.claim(wanted)) or []

    @precondition(lambda self: self.running)
    @rule(chosen=st.lists(endings, min_size=1, max_size=3))
    def settle(self, chosen: list[Ending]) -> None:
        self.settle_among(self.running, chosen)

    @precondition(lambda self: self.attempts)
    @rule(chosen=st.lists(endings, min_size=1, max_size=3))
    def settle_what_may_be_stale(self, chosen: list[Ending]) -> None:
        self.settle_among(self.attempts, chosen)

    def settle_among(self, attempts: list[Claimed], chosen: list[Ending]) -> None:
        settlements = [
            settlement(attempts[ending[0] % len(attempts)], *ending[1:]) for ending in chosen
        ]
        self.both(lambda ledger: ledger.settle(settlements))

    @precondition(lambda self: self.running)
    @rule(error=st.sampled_from(ERRORS), outcome=st.sampled_from([Outcome.FAILED, Outcome.LOST]))
    def bury(self, error: TaskError, outcome: Outcome) -> None:
        ends = [settlement(attempt, outcome, error, 1.0, True, None) for attempt in self.running]
        self.both(lambda ledger: ledger.settle(ends))

    @rule()
    def reap(self) -> None:
        lost = self.both(lambda ledger: ledger.held(None), by_task)
        ends = [
            settlement(held, Outcome.LOST, WORKER_LOST, 1.0, False, None) for held in lost or []
        ]
        self.both(lambda ledger: ledger.settle(ends))

    # What people do

    @rule(task_id=ids, who=people)
    def cancel(self, task_id: str, who: Who) -> None:
        self.both(lambda ledger: ledger.cancel(task_id, *who))

    @rule(task_id=ids, who=people, payload=st.none() | payloads)
    def redrive(self, task_id: str, who: Who, payload: str | None) -> None:
        self.both(lambda ledger: ledger.redrive(task_id, *who, payload))

    @rule(task_id=ids, who=people)
    def discard(self, task_id: str, who: Who) -> None:
        self.both(lambda ledger: ledger.discard(task_id, *who))

    @precondition(lambda self: self.dead)
    @rule(index=st.integers(0, 9), who=people, payload=st.none() | payloads)
    def redrive_a_dead_letter(self, index: int, who: Who, payload: str | None) -> None:
        self.redrive(self.dead[index % len(self.dead)], who, payload)

    @precondition(lambda self: self.dead)
    @rule(index=st.integers(0, 9), who=people)
    def discard_a_dead_letter(self, index: int, who: Who) -> None:
        self.discard(self.dead[index % len(self.dead)], who)

    @precondition(lambda self: self.dead)
    @rule(selection=selections, who=people)
    def redrive_many(self, selection: Selection, who: Who) -> None:
        self.both(lambda ledger: ledger.redrive_many(selection, *who))

    # Reports, upkeep and time

    @rule(limit=st.integers(1, 3), lease=st.sampled_from([1, 30]))
    def claim_reports(self, limit: int, lease: int) -> None:
        reports = self.both(lambda ledger: ledger.claim_reports(limit, lease * SECOND))
        self.reports += [report.id for report in reports or []]

    @precondition(lambda self: self.reports)
    @rule(number=st.integers(1, 3))
    def reported(self, number: int) -> None:
        self.both(lambda ledger: ledger.reported(self.reports[:number]))
        del self.reports[:number]

    @rule(age=st.sampled_from([-1, 0, 1, 60]), limit=st.integers(1, 3))
    def purge(self, age: int, limit: int) -> None:
        before = self.clock.now - age * SECOND
        self.both(lambda ledger: ledger.purge(before, limit))

    @rule(query=queries)
    def page(self, query: Query) -> None:
        async def walk(ledger: Ledger) -> list[Record]:
            return [record for page in await pages(ledger, query) for record in page.records]

        self.both(walk)

    @rule(by=st.sampled_from([0.5, 1.0, 5.0, 20.0, 100.0]))
    def advance(self, by: float) -> None:
        self.clock.advance(by)

    @rule()
    def reopen(self) -> None:
        self.runner.run(self.sqlite.close())
        self.sqlite = self.open()

    # What must be equal after every step

    @invariant()
    def all_that_can_be_read_is_equal(self) -> None:
        async def read(ledger: Ledger) -> tuple[Any, ...]:
            return (
                [without_position(entry) for entry in await ledger.entries(0, 100)],
                (await ledger.page(ALL)).records,
                replace(await ledger.counts(), position=0),
                [without_sample(group) for group in await ledger.groups()],
            )

        self.both(read)

    @invariant()
    def all_that_runs_or_waits_is_equal(self) -> None:
        for worker in WORKERS:
            self.both(lambda ledger, name=worker.id: ledger.held(name), by_task)
        for types, alone in ((None, False), (None, True), (TYPES[1:], False)):
            self.both(lambda ledger, t=types, a=alone: ledger.next_due(t, alone=a))
        tokens = {attempt.token: attempt.task_id for attempt in self.attempts}
        dropped = self.both(lambda ledger: ledger.dropped(tokens), set)
        self.running = [attempt for attempt in self.attempts if attempt.token not in dropped or []]
        dead = self.both(lambda ledger: ledger.page(DEAD), lambda page: page.records)
        self.dead = [record.task_id for record in dead.records] if dead else []

    def teardown(self) -> None:
        try:
            self.runner.run(must_add_up(self.specification))
            self.runner.run(must_add_up(self.sqlite))
        finally:
            self.runner.run(self.sqlite.close())
            self.runner.close()
            self.folder.cleanup()


async def answer(step: Callable[[Ledger], Awaitable[T]], ledger: Ledger) -> T | Refusal:
    try:
        return await step(ledger)
    except (Refused, UnknownTask, LeaseOver) as refusal:
        return Refusal(type(refusal), getattr(refusal, "state", None))


def by_task(held: Iterable[Held]) -> list[Held]:
    return sorted(held, key=lambda item: item.task_id)


def without_position(entry: Entry) -> Entry:
    """Positions may have gaps; only their order counts."""
    return replace(entry, position=0, record=replace(entry.record, payload=None, result=None))


def without_sample(group: Group) -> Group:
    """Any message of the group will do."""
    return replace(group, sample="")


Agreement.TestCase.settings = settings(
    derandomize=True,
    database=None,
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
test_sqlite_agrees_with_the_specification = Agreement.TestCase
