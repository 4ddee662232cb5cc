"""Every home beside the specification: same steps, same clock, same tokens, same answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from tests.aws.emulator import Emulator
from tests.conformance.homes import DynamoHome, Home, PostgresHome, SqliteHome
from tests.conformance.sameness import by_task, without_position, without_sample
from tests.conformance.stage import Clock, Refusal, answer, must_add_up, pages
from tests.conformance.steps import (
    IDS,
    START,
    TYPES,
    WORKERS,
    Ending,
    Who,
    acts,
    changes,
    edits,
    endings,
    ids,
    names,
    people,
    queries,
    settlement,
    starting,
    submissions,
    types,
    workers,
)
from tests.postgres.server import Server
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import (
    EVERYTHING,
    Claim,
    Claimed,
    Held,
    Order,
    Query,
    Report,
    Worker,
)
from unlost.limits.control import Change, Claimant
from unlost.policy import WORKER_LOST, Limits
from unlost.task import SECOND, Event, Outcome, Record, Submission

T = TypeVar("T")
ALL = Query(limit=100, parts=EVERYTHING)
DEFAULTS = (Limits(2, 60.0), Limits(0, 5.0))
DEAD = Query(order=Order.DIED, limit=100)


class Agreement(RuleBasedStateMachine):
    """Every rule does one step on both ledgers and compares what they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.home = self.new_home()
        self.clock = Clock(START)
        self.specification: Ledger = MemoryLedger(self.clock)
        self.real = self.open()
        self.numbers = count(1)
        self.attempts: list[Claimed] = []
        self.running: list[Claimed] = []
        self.dead: list[str] = []

    def new_home(self) -> Home:
        raise NotImplementedError

    def open(self) -> Ledger:
        return self.runner.run(self.home.open(self.clock))

    def both(
        self,
        step: Callable[[Ledger], Awaitable[T]],
        seen: Callable[[T], object] = lambda answer: answer,
    ) -> T | None:
        """What both answer; None is for a refusal.  `seen` is what has to be equal."""
        expected = self.runner.run(answer(step, self.specification))
        found = self.runner.run(answer(step, self.real))
        if isinstance(expected, Refusal) or isinstance(found, Refusal):
            assert found == expected
            return None
        assert seen(found) == seen(expected)
        return expected

    # Submitting and attempts

    @initialize(batch=st.lists(submissions, min_size=6, max_size=12))
    def begin(self, batch: list[Submission]) -> None:
        self.submit(batch)
        for worker in WORKERS:
            self.enlist(worker, 60)

    @rule(batch=st.lists(submissions, min_size=1, max_size=6))
    def submit(self, batch: list[Submission]) -> None:
        self.both(lambda ledger: ledger.submit(batch))

    @rule(worker=workers | starting, lease=st.sampled_from([5, 60]))
    def enlist(self, worker: Worker, lease: int) -> None:
        self.both(lambda ledger: ledger.enlist(worker, lease * SECOND))

    @rule(worker=names, dismissed=st.sampled_from([None, False, True]))
    def extend_or_dismiss(self, worker: str, dismissed: bool | None) -> None:
        if dismissed is None:
            self.both(lambda ledger: ledger.extend([worker], 20 * SECOND))
        else:
            self.both(lambda ledger: ledger.dismiss(worker, expired=dismissed))

    @rule(worker=workers, most=st.integers(0, 4), defaults=st.sampled_from(DEFAULTS))
    def claim(self, worker: Worker, most: int, defaults: Limits) -> None:
        tokens = [f"token-{next(self.numbers)}" for _ in range(most)]
        types = None if worker.types is None else dict.fromkeys(worker.types, Limits(1, None))
        claimant = Claimant.PULL if worker.pull else Claimant.LOCAL
        wanted = Claim(worker.id, tokens, types, defaults, worker.alone, claimant)
        self.attempts += self.both(lambda ledger: ledger.claim(wanted)) or []

    @rule(worker=workers, ends=st.lists(st.none() | endings, min_size=1, max_size=6))
    def work(self, worker: Worker, ends: list[Ending | None]) -> None:
        """A worker that is alive claims, settles some attempts, and leaves the others."""
        self.enlist(worker, 60)
        before = len(self.attempts)
        self.claim(worker, len(ends), DEFAULTS[0])
        self.settle(zip(self.attempts[before:], ends, strict=False))

    @precondition(lambda self: self.attempts)
    @rule(chosen=st.lists(st.tuples(st.integers(0, 9), endings), min_size=1, max_size=4))
    def settle_what_may_be_stale(self, chosen: list[tuple[int, Ending]]) -> None:
        latest = self.attempts[::-1]
        self.settle((latest[index % len(latest)], end) for index, end in chosen)

    @precondition(lambda self: self.running)
    @rule(ends=st.lists(st.none() | endings, min_size=1, max_size=6))
    def settle_what_runs(self, ends: list[Ending | None]) -> None:
        self.settle(zip(self.running, ends, strict=False))

    def settle(self, ends: Iterable[tuple[Claimed | Held, Ending | None]]) -> None:
        settlements = [settlement(attempt, *end) for attempt, end in ends if end is not None]
        self.both(lambda ledger: ledger.settle(settlements))

    @rule()
    def reap(self) -> None:
        lost = self.both(lambda ledger: ledger.held(None), by_task) or []
        self.settle((held, (Outcome.LOST, WORKER_LOST, 1.0, False, None, False)) for held in lost)

    # What people do

    @rule(act=acts, task_id=ids, who=people, payload=edits)
    def act(self, act: Event, task_id: str, who: Who, payload: str | None) -> None:
        if act is Event.REDRIVE:
            self.both(lambda ledger: ledger.redrive(task_id, *who, payload))
        elif act is Event.CANCEL:
            self.both(lambda ledger: ledger.cancel(task_id, *who))
        else:
            self.both(lambda ledger: ledger.discard(task_id, *who))

    @precondition(lambda self: self.dead)
    @rule(act=acts, chosen=st.sets(st.integers(0, 9)), who=people, payload=edits)
    def act_on_dead_letters(
        self, act: Event, chosen: set[int], who: Who, payload: str | None
    ) -> None:
        for index in chosen:
            if index < len(self.dead):
                self.act(act, self.dead[index], who, payload)

    # What is set for types

    @rule(name=types, who=people, paused=st.sampled_from([True, False, False]))
    def pause_or_resume(self, name: str, who: Who, paused: bool) -> None:
        if paused:
            self.both(lambda ledger: ledger.pause(name, *who))
        else:
            self.both(lambda ledger: ledger.resume(name))

    @rule(name=types, change=changes)
    def change(self, name: str, change: Change) -> None:
        self.both(lambda ledger: ledger.change(name, change))

    # Reports, upkeep and time

    @rule(limit=st.integers(1, 3), lease=st.sampled_from([1, 30]), done=st.booleans())
    def report(self, limit: int, lease: int, done: bool) -> None:
        ids: dict[Ledger, list[int]] = {}

        async def claim(ledger: Ledger) -> list[Report]:
            reports = await ledger.claim_reports(limit, lease * SECOND)
            ids[ledger] = [report.id for report in reports]
            return [replace(report, id=0) for report in reports]

        self.both(claim)
        if done:
            self.both(lambda ledger: ledger.reported(ids[ledger]))

    @rule(age=st.sampled_from([-1, 0, 10]), limit=st.integers(1, 3))
    def purge(self, age: int, limit: int) -> None:
        before = self.clock.now - age * SECOND
        self.both(lambda ledger: ledger.purge(before, limit))

    @rule(query=queries)
    def page(self, query: Query) -> None:
        async def walk(ledger: Ledger) -> list[Record]:
            return [record async for page in pages(ledger, query) for record in page.records]

        self.both(walk)

    @rule(by=st.sampled_from([0.5, 1.0, 5.0, 20.0]))
    def advance(self, by: float) -> None:
        self.clock.advance(by)

    @rule()
    def reopen(self) -> None:
        self.clock.advance(0.000001)  # in which not every home can order what two processes do
        self.runner.run(self.real.close())
        self.real = self.open()

    @invariant()
    def all_that_can_be_read_is_equal(self) -> None:
        async def read(ledger: Ledger) -> tuple[Any, ...]:
            controls = await ledger.controls()
            counts = replace(await ledger.counts(), position=0)
            if any(control.by_key for control in controls):
                counts = replace(counts, oldest_due=None)  # without what waits for it
            return (
                controls,
                [without_position(entry) for entry in await ledger.entries(0, 100)],
                (await ledger.page(ALL)).records,
                counts,
                [
                    [without_sample(group) for group in await ledger.groups(types=of)]
                    for of in (None, TYPES[:1], TYPES[1:])
                ],
            )

        self.both(read)

    @invariant()
    def all_that_runs_or_waits_is_equal(self) -> None:
        tokens = {attempt.token: attempt.task_id for attempt in self.attempts}

        async def read(ledger: Ledger) -> tuple[Any, ...]:
            return (
                set(await ledger.dropped(tokens)),
                [by_task(await ledger.held(worker.id)) for worker in WORKERS],
                await ledger.workers(),
                await ledger.facts(IDS),
                [await ledger.due_in(None, alone=alone) for alone in (False, True)],
                await ledger.due_in(TYPES[1:]),
                await ledger.due_in(TYPES, claimant=Claimant.PULL),
            )

        dropped = (self.both(read) or [()])[0]
        self.running = [attempt for attempt in self.attempts if attempt.token not in dropped]
        page = self.both(lambda ledger: ledger.page(DEAD), lambda page: page.records)
        self.dead = [record.task_id for record in page.records] if page else []

    def teardown(self) -> None:
        try:
            self.runner.run(must_add_up(self.specification))
            self.runner.run(must_add_up(self.real))
        finally:
            self.runner.run(self.real.close())
            self.runner.close()
            self.home.close()


# Without a database and a random start each run is the same; what fails is made small in a soak.
REPEATED = settings(
    derandomize=True,
    database=None,
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
SOME = settings(REPEATED, max_examples=15)  # a step over a connection takes 5 times as long
FEW = settings(REPEATED, max_examples=4)  # a step in the emulator takes 50 times as long
AT_LENGTH = settings(
    REPEATED, derandomize=False, max_examples=3_000, phases=[Phase.generate, Phase.shrink]
)


def agreement(home: Callable[[], Home]) -> type[Agreement]:
    return type("AgreementOfAHome", (Agreement,), {"new_home": lambda _: home()})


def test_sqlite_agrees_with_the_specification() -> None:
    run_state_machine_as_test(agreement(SqliteHome), settings=REPEATED)


def test_postgres_agrees_with_the_specification(postgres: Server) -> None:
    run_state_machine_as_test(agreement(lambda: PostgresHome(postgres)), settings=SOME)


def test_dynamodb_agrees_with_the_specification(emulator: Emulator) -> None:
    run_state_machine_as_test(agreement(lambda: DynamoHome(emulator)), settings=FEW)


@pytest.mark.soak
def test_sqlite_agrees_at_length() -> None:
    run_state_machine_as_test(agreement(SqliteHome), settings=AT_LENGTH)


@pytest.mark.soak
def test_postgres_agrees_at_length(postgres: Server) -> None:
    run_state_machine_as_test(
        agreement(lambda: PostgresHome(postgres)), settings=settings(AT_LENGTH, max_examples=500)
    )


@pytest.mark.soak
def test_dynamodb_agrees_at_length(emulator: Emulator) -> None:
    run_state_machine_as_test(
        agreement(lambda: DynamoHome(emulator)),
        settings=settings(AT_LENGTH, max_examples=100),
    )
