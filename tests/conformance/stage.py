"""Drives a ledger through a task's life in few words, with a clock that tests move."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from msgspec.structs import replace

from unlost import carried, policy
from unlost.audit import audit
from unlost.carried import Carried, Parent
from unlost.ledger.protocol import LeaseOver, Ledger, Refused, StepsStand, UnknownTask
from unlost.ledger.values import (
    EVERYTHING,
    Claim,
    Claimed,
    Entry,
    FollowUp,
    Held,
    Page,
    Query,
    Settlement,
    Submitted,
    Worker,
)
from unlost.policy import Limits
from unlost.task import (
    DEFAULT_TYPE,
    SECOND,
    Event,
    Micros,
    Outcome,
    Record,
    State,
    Submission,
    TaskError,
)

T = TypeVar("T")

LEASE = 30 * SECOND
BOOM = policy.error(
    "Boom", "it broke", 'Traceback …\n  File "app.py", line 3, in work\nBoom: it broke'
)
OTHER = policy.error("Other", "something else")


class Clock:
    """A ledger's clock that stands still until it is moved."""

    def __init__(self, now: Micros = 1_700_000_000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> Micros:
        return self.now

    def advance(self, seconds: float) -> Micros:
        """Move the clock (back, with a negative number) and tell the new time."""
        self.now += round(seconds * SECOND)
        return self.now


def submission(
    task_id: str,
    payload: str = "{}",
    *,
    type: str = DEFAULT_TYPE,
    priority: int = 0,
    delay: float = 0,
    run_at: Micros | None = None,
    max_retries: int | None = None,
    timeout: float | None = None,
    key: str | None = None,
    carried: str | None = None,
) -> Submission:
    """A submission whose digest stands for payload and options."""
    options = (payload, type, priority, delay, run_at, max_retries, timeout, key)
    digest = hashlib.sha256(repr(options).encode()).digest()
    return Submission(
        task_id, payload, digest, type, priority, round(delay * SECOND), run_at, max_retries,
        timeout, key, carried,
    )  # fmt: skip


class Stage:
    """A ledger, its clock, and who acts on it."""

    lease: Micros = LEASE
    """For how long a worker that claims is alive."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        opener: Callable[[], Awaitable[Ledger]],
        most: int = 1_000_000,
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self._open = opener
        self._most = most
        self._numbers = count(1)

    def many(self, number: int) -> int:
        """This number, or as many tasks as a test of this home can afford."""
        return min(number, self._most)

    async def another(self) -> Ledger:
        """A second ledger object on the same store."""
        return await self._open()

    async def reopen(self) -> None:
        """Close the ledger and open it anew."""
        await self.ledger.close()
        self.ledger = await self._open()

    async def submit(self, *task_ids: str, **options: Any) -> list[Submitted]:
        """Submit tasks that differ in nothing but their ids, in one call; options as for
        `submission`."""
        return await self.ledger.submit([submission(one, **options) for one in task_ids])

    def tokens(self, number: int) -> list[str]:
        """Tokens that were never used."""
        return [f"token-{next(self._numbers)}" for _ in range(number)]

    async def claim(
        self,
        most: int = 1,
        *,
        worker: str = "worker",
        types: tuple[str, ...] | None = None,
        alone: bool = False,
        limits: Limits = Limits(2, 60.0),  # noqa: B008 - immutable
    ) -> list[Claimed]:
        """Claim as a worker that is alive."""
        await self.ledger.enlist(Worker(worker, types, alone), self.lease)
        wanted = None if types is None else dict.fromkeys(types, Limits())
        claim = Claim(worker, self.tokens(most), wanted, limits, alone)
        return await self.ledger.claim(claim)

    async def run(self, task_id: str) -> Claimed:
        """Claim what is due until this task runs; the others it met are released."""
        claimed = await self.claim(100) + await self.claim(100, worker="solo", alone=True)
        others = [other for other in claimed if other.task_id != task_id]
        await self.ledger.settle(
            [ended(other, Outcome.RELEASED, Event.RELEASE) for other in others]
        )
        (mine,) = [attempt for attempt in claimed if attempt.task_id == task_id]
        return mine

    async def settle(
        self,
        attempt: Claimed | Held,
        outcome: Outcome,
        event: Event,
        *,
        wait: float = 0,
        error: TaskError | None = None,
        result: str | None = None,
    ) -> bool:
        """End an attempt; whether it was still the running one."""
        settlement = ended(attempt, outcome, event, wait=wait, error=error, result=result)
        (held,) = await self.ledger.settle([settlement])
        return bool(held)

    async def succeed(self, attempt: Claimed, result: str | None = None) -> bool:
        return await self.settle(attempt, Outcome.SUCCEEDED, Event.SUCCEED, result=result)

    async def retry(self, attempt: Claimed, wait: float = 0, error: TaskError = BOOM) -> bool:
        return await self.settle(attempt, Outcome.FAILED, Event.RETRY, wait=wait, error=error)

    async def lose(self, attempt: Claimed | Held, wait: float = 0) -> bool:
        return await self.settle(
            attempt, Outcome.LOST, Event.RETRY, wait=wait, error=policy.WORKER_LOST
        )

    async def die(self, attempt: Claimed, error: TaskError = BOOM) -> bool:
        return await self.settle(attempt, Outcome.FAILED, Event.DIE, error=error)

    async def excuse(self, attempt: Claimed, wait: float = 0) -> bool:
        (held,) = await self.ledger.settle([excused(attempt, wait)])
        return bool(held)

    async def release(self, attempt: Claimed) -> bool:
        return await self.settle(attempt, Outcome.RELEASED, Event.RELEASE)

    async def bury(
        self,
        *task_ids: str,
        error: TaskError = BOOM,
        payload: str = "{}",
        type: str = DEFAULT_TYPE,
    ) -> None:
        """Make new tasks dead letters, in this order."""
        for task_id in task_ids:
            await self.submit(task_id, payload=payload, type=type)
            await self.die(await self.run(task_id), error)

    async def into(self, state: State, task_id: str) -> str:
        """Bring a new task into a state; the token of its last attempt, stale or not."""
        await self.submit(task_id)
        if state is State.QUEUED:
            return "no attempt yet"
        attempt = await self.run(task_id)
        if state is State.RETRYING:
            await self.retry(attempt, wait=0.5)
        elif state is State.SUCCEEDED:
            await self.succeed(attempt)
        elif state is State.DEAD:
            await self.die(attempt)
        elif state is State.CANCELLED:
            await self.ledger.cancel(task_id, None, None)
        return attempt.token

    async def record(self, task_id: str) -> Record:
        """The task with everything in it."""
        record = await self.ledger.get(task_id, EVERYTHING)
        assert record is not None, f"{task_id} is lost"
        return record

    async def entry(self, task_id: str) -> Entry:
        """The task with the ledger's marks."""
        entries = await self.ledger.entries(0, 1000)
        (found,) = [entry for entry in entries if entry.record.task_id == task_id]
        return found

    async def walk(self, query: Query) -> list[str]:
        """The ids that a list shows, page by page."""
        return [
            record.task_id async for page in pages(self.ledger, query) for record in page.records
        ]


def ended(
    attempt: Claimed | Held,
    outcome: Outcome,
    event: Event,
    *,
    wait: float = 0,
    error: TaskError | None = None,
    result: str | None = None,
) -> Settlement:
    """How an attempt ended."""
    return Settlement(
        attempt.task_id, attempt.token, outcome, event, round(wait * SECOND), error, result
    )


def excused(attempt: Claimed | Held, wait: float = 0) -> Settlement:
    """A failure that the handler asked to excuse."""
    failed = ended(attempt, Outcome.FAILED, Event.RETRY, wait=wait, error=BOOM)
    return replace(failed, excused=True)


async def pages(ledger: Ledger, query: Query) -> AsyncIterator[Page]:
    """The pages of a list, from where the query begins; each is read when it is asked for."""
    for _ in range(1_000):
        page = await ledger.page(query)
        yield page
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)
    raise AssertionError("the list has no end")


@dataclass(frozen=True)
class Refusal:
    """An error of the protocol, as a value that can be compared."""

    kind: type[Exception]
    state: State | None


async def answer(step: Callable[[Ledger], Awaitable[T]], ledger: Ledger) -> T | Refusal:
    """What a ledger answers, be it a refusal."""
    try:
        return await step(ledger)
    except (Refused, UnknownTask, LeaseOver, StepsStand) as refusal:
        return Refusal(type(refusal), getattr(refusal, "state", None))


def follow_up(attempt: Claimed | Held, task: Submission) -> FollowUp:
    """The task, as one that an attempt's handler submits."""
    parent = Parent(attempt.task_id, attempt.number)
    mine = replace(task, carried=carried.write(Carried(parent=parent)))
    error = policy.error("FollowUpConflict", f"{task.task_id} is another task")
    return FollowUp(mine, ended(attempt, Outcome.FAILED, Event.DIE, error=error))


async def must_add_up(ledger: Ledger) -> None:
    """Nothing is lost, no record breaks a promise, and the counters say what the records say."""
    counts = await ledger.counts()
    assert counts.accepted == sum(counts.states.values())
    found = await audit(ledger)
    assert found.ok, found.violations
    assert found.accepted == counts.accepted
    assert found.lost == 0
    assert found.states == counts.states
