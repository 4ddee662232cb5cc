"""What a ledger is: the narrow waist between what is decided and where it is kept.

Every change of a task is one atomic, conditional step.  The ledgers apply decisions, they make
none; they read the time from the clock they were given (a database's own, where it has one).
Every method is safe to repeat after an unknown outcome, because the caller brings the identity:
a task id or a fencing token.  `LedgerUnavailable` may come from any of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Protocol

import msgspec

from unlost.policy import Limits
from unlost.task import SECOND, Act, Event, Micros, Outcome, Record, State, Submission, TaskError


class LedgerUnavailable(Exception):
    """The ledger cannot answer now (disk full, connection lost, too much waiting); try again."""


class NotALedger(Exception):
    """What was named as the ledger is none that this version can use.  The message says why."""


class UnknownTask(Exception):
    """No task has this id."""


class Refused(Exception):
    """The task's state does not allow the step (see `task.TRANSITIONS`)."""

    def __init__(self, state: State) -> None:
        super().__init__(f"the task is {state.value}")
        self.state = state


class LeaseOver(Exception):
    """This worker's lease is over or was never there: its attempts may be reaped; it must end."""


class BadCursor(Exception):
    """The cursor did not come from this ledger, or not from this kind of list."""


class Verdict(StrEnum):
    """What became of one submission."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    CONFLICT = "conflict"


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """The answer to one submission.  `submitted_at` and `due_at` are set when accepted."""

    verdict: Verdict
    submitted_at: Micros = 0
    due_at: Micros = 0


class Worker(msgspec.Struct, frozen=True):
    """One worker process.  `id` is its random incarnation; `types` is None for every type.

    A worker that runs `alone` takes only tasks whose last attempt was lost, one at a time.
    """

    id: str
    types: tuple[str, ...] | None = None
    alone: bool = False


class Claim(msgspec.Struct, frozen=True):
    """A request for due tasks: as many as there are `tokens` (fresh, random, one an attempt).

    `types` maps the types to take to their handlers' limits; None takes every type.  What
    submit and handler leave open is filled from `defaults`.
    """

    worker: str
    tokens: Sequence[str]
    types: Mapping[str, Limits] | None
    defaults: Limits
    alone: bool = False

    def limits(self, task_type: str, submitted: Limits) -> Limits:
        """What holds for a task of this type: the submit's, else the handler's, else ours."""
        handler = self.types.get(task_type, Limits()) if self.types else Limits()
        return submitted.filled(handler).filled(self.defaults)


class Claimed(msgspec.Struct, frozen=True):
    """An attempt that is recorded and may start.

    `number` counts all attempts of the task, `spent` those since its submit or last redrive
    that were not released, this one included.  `deadline` is started_at + timeout.
    """

    task_id: str
    token: str
    type: str
    payload: str
    number: int
    spent: int
    max_retries: int
    timeout: float
    deadline: Micros
    redrive_count: int
    submitted_at: Micros
    started_at: Micros


class Held(msgspec.Struct, frozen=True):
    """A running attempt as seen from outside: what is needed to settle it for its worker."""

    task_id: str
    token: str
    worker: str
    spent: int
    max_retries: int
    timeout: float
    deadline: Micros


class Settlement(msgspec.Struct, frozen=True):
    """How an attempt ended (`outcome`) and what follows (`event`, with `wait` for a retry).

    It holds only while `token` is the running attempt's.
    """

    task_id: str
    token: str
    outcome: Outcome
    event: Event
    wait: Micros = 0
    error: TaskError | None = None
    result: str | None = None


RUN_PAUSE: Micros = 60 * SECOND
"""How long a run of bulk redrives waits for its next call."""


class Selection(msgspec.Struct, frozen=True):
    """Which dead letters to redrive; selectors mean *and*, none means all.

    Calls with the same selectors within `RUN_PAUSE` of each other are one *run* for as long as
    more is left: it redrives what was dead when it began, each once, so that a task which dies
    again at once does not keep it from ending.  `interval` spaces the next attempts, over all
    calls of a run.
    """

    task_ids: tuple[str, ...] | None = None
    fingerprint: str | None = None
    type: str | None = None
    limit: int = 1000
    interval: Micros = 0


class Order(StrEnum):
    """What a list runs over: all tasks by submission, or the dead letters by time of death."""

    SUBMITTED = "submitted"
    DIED = "died"


class Part(StrEnum):
    """What a record carries beyond its small members."""

    PAYLOAD = "payload"
    RESULT = "result"
    ATTEMPTS = "attempts"
    HISTORY = "history"


EVERYTHING = frozenset(Part)


class Query(msgspec.Struct, frozen=True):
    """One page of a list, newest first.  `since` ≤ submitted_at < `until`.

    `error` is a fingerprint or an error type (for dead letters).
    """

    order: Order = Order.SUBMITTED
    state: State | None = None
    type: str | None = None
    id_prefix: str = ""
    since: Micros | None = None
    until: Micros | None = None
    error: str | None = None
    limit: int = 50
    cursor: str | None = None
    parts: frozenset[Part] = frozenset()


class Page(msgspec.Struct, frozen=True):
    """Records and where the list goes on (None at its end).  May be short, even empty."""

    records: list[Record]
    next_cursor: str | None


class Group(msgspec.Struct, frozen=True):
    """Dead letters that look alike."""

    fingerprint: str
    error_type: str
    sample: str
    count: int
    first_at: Micros
    last_at: Micros


class Counts(msgspec.Struct, frozen=True):
    """The counters, in one snapshot.

    `accepted` was counted at submit, `states` at each transition, `settled` counts all entries
    into a terminal state.  `position` is the ledger's last one at that moment (see `Entry`).
    `unhandled` are types with due tasks that no living worker takes.
    """

    accepted: int
    settled: int
    states: dict[State, int]
    position: int
    unhandled: tuple[str, ...] = ()
    oldest_due: Micros | None = None


class Entry(msgspec.Struct, frozen=True):
    """A record with the ledger's own marks, for the audit and the export.

    `position` orders entries by submission.  `dead_letter` is the fingerprint under which the
    task stands among the dead letters, None where it does not.  `claimable` says whether a
    claim could ever find it.
    """

    position: int
    record: Record
    token: str | None
    worker: str | None
    spent: int
    dead_letter: str | None
    claimable: bool


class Report(msgspec.Struct, frozen=True):
    """A death that the monitor has not reported yet, as it was when the task died."""

    id: int
    task_id: str
    type: str
    payload: str
    error: TaskError
    attempt_count: int
    submitted_at: Micros
    died_at: Micros


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A change of state that has happened: a hint for those who watch, never a record."""

    task_id: str
    type: str
    state: State
    attempt: int
    at: Micros


class Ledger(Protocol):
    """The durable record of every task and every attempt: the one source of truth."""

    # Submitting and reading

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        """Store new tasks; they survive a crash of everything once this returns.

        In order; a task id seen before is a replay where the digest is equal, else a conflict,
        also within one call.
        """
        ...

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        """The task as it is now."""
        ...

    async def page(self, query: Query) -> Page:
        """A page of a list.  Page by page, each task there throughout comes exactly once.

        Raises BadCursor.
        """
        ...

    async def groups(self) -> list[Group]:
        """Dead letters counted by fingerprint, most first."""
        ...

    async def counts(self) -> Counts:
        """The counters, in one snapshot."""
        ...

    async def entries(self, after: int, limit: int) -> list[Entry]:
        """Entries with a position above `after`, in order, with attempts and history."""
        ...

    # Attempts

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        """Let this worker claim, for `lease` from now.

        Strikes off the workers whose lease is over and that hold nothing.
        """
        ...

    async def extend(self, workers: Collection[str], lease: Micros) -> set[str]:
        """Extend these workers' leases; returns those that are still enlisted."""
        ...

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        """Strike a worker off; with `expired`, only if its lease is over and it holds nothing."""
        ...

    async def claim(self, claim: Claim) -> list[Claimed]:
        """Start attempts: highest priority first, then oldest due (approximately).

        The attempts are recorded and counted before this returns.  After an unknown outcome,
        `held` names what was claimed.  Raises LeaseOver.
        """
        ...

    async def next_due(
        self, types: Collection[str] | None, *, alone: bool = False
    ) -> Micros | None:
        """When a claim of this kind could next find a task; None if nothing waits."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End attempts; False for each whose token is not the running attempt's.

        The settlements that held survive a crash of everything once this returns.
        """
        ...

    async def held(self, worker: str | None) -> list[Held]:
        """The running attempts of this worker; None: of all workers whose lease is over."""
        ...

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        """Of these tokens (each with its task id), those that no longer run."""
        ...

    # What people do

    async def cancel(self, task_id: str, by: str | None, reason: str | None) -> None:
        """Make the task cancelled; a running attempt's settlement will be refused.

        Raises UnknownTask, Refused.
        """
        ...

    async def redrive(
        self, task_id: str, by: str | None, reason: str | None, payload: str | None = None
    ) -> None:
        """Give a dead letter a fresh set of attempts, due now.  Raises UnknownTask, Refused.

        A new `payload` replaces the old one for attempts; replays are still compared with what
        was first submitted.
        """
        ...

    async def redrive_many(
        self, selection: Selection, by: str | None, reason: str | None
    ) -> tuple[int, bool]:
        """Redrive dead letters, oldest death first; how many, and whether the run has more."""
        ...

    async def discard(self, task_id: str, by: str | None, reason: str | None) -> None:
        """Make a dead letter cancelled, its history kept.  Raises UnknownTask, Refused."""
        ...

    # Reports and upkeep

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        """Deaths not yet reported; nobody else gets them for `lease`."""
        ...

    async def reported(self, report_ids: Collection[int]) -> None:
        """Record that these deaths were reported."""
        ...

    async def purge(self, before: Micros, limit: int) -> int:
        """Remove payload, result and attempts of succeeded and cancelled tasks last updated
        before `before`; how many (at most `limit`).  What people did to them stays."""
        ...

    async def ping(self) -> None:
        """Prove that the ledger answers a write."""
        ...

    # Hints: they may be lost, repeated and late

    async def wait(self, seconds: float) -> None:
        """Return when a task may have become due, or after `seconds`."""
        ...

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        """What changes from now on."""
        ...

    async def close(self) -> None:
        """Give everything back; safe to call twice."""
        ...


__all__ = [
    "EVERYTHING",
    "RUN_PAUSE",
    "Act",
    "BadCursor",
    "Claim",
    "Claimed",
    "Counts",
    "Entry",
    "Group",
    "Held",
    "LeaseOver",
    "Ledger",
    "LedgerUnavailable",
    "NotALedger",
    "Order",
    "Page",
    "Part",
    "Query",
    "Refused",
    "Report",
    "Selection",
    "Settlement",
    "Submitted",
    "Transition",
    "UnknownTask",
    "Verdict",
    "Worker",
]
