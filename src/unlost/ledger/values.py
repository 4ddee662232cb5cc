"""What callers and ledgers hand each other: immutable values, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from unlost.policy import Limits
from unlost.task import SECOND, Event, Micros, Outcome, Record, State, Submission, TaskError


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
    `due_at` is when it had become due, where that is still known.
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
    due_at: Micros | None  # where the ledger still knows it
    carried: str | None = None


class Held(msgspec.Struct, frozen=True):
    """A running attempt as seen from outside: what is needed to settle it for its worker.

    `left` is the time to its deadline by the ledger's clock (the caller's own may be off); it
    has timed out where that is 0 or less.
    """

    task_id: str
    token: str
    worker: str
    spent: int
    max_retries: int
    timeout: float
    left: Micros
    type: str
    carried: str | None = None


class Settlement(msgspec.Struct, frozen=True):
    """How an attempt ended (`outcome`) and what follows (`event`, with `wait` for a retry).

    It holds only while `token` is the running attempt's.  Where it holds, the task `follow` is
    submitted in the same step, unless its id is known already.
    """

    task_id: str
    token: str
    outcome: Outcome
    event: Event
    wait: Micros = 0
    error: TaskError | None = None
    result: str | None = None
    follow: Submission | None = None


MOST_SHOWN = 20
"""Running attempts that are shown of one worker."""


class Running(msgspec.Struct, frozen=True):
    """An attempt that runs."""

    task_id: str
    type: str
    number: int
    started_at: Micros


class Enlisted(msgspec.Struct, frozen=True):
    """A worker as it stands: until when its lease is, what it runs (of that, the `MOST_SHOWN`
    oldest) and how much that is."""

    worker: Worker
    lease_until: Micros
    running: tuple[Running, ...]
    count: int


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
    `unhandled` are types with due tasks that no living worker takes.  Neither they nor
    `oldest_due` speak of types that are paused; they may leave out tasks whose key has no room.
    Of `workers`, who runs alone does not count.
    """

    accepted: int
    settled: int
    states: dict[State, int]
    position: int
    unhandled: tuple[str, ...] = ()
    oldest_due: Micros | None = None
    workers: int = 0

    @property
    def lost(self) -> int:
        """Tasks that were accepted and are in no state."""
        return self.accepted - sum(self.states.values())


MINUTE: Micros = 60 * SECOND


class Cohorts(msgspec.Struct, frozen=True):
    """Tasks counted as accepted so far, by the minute of their submission.

    For a ledger whose counters follow its records, by `lag` at most while all is well.  Minutes
    are numbered from the epoch; `newest` is that of the task submitted last.
    """

    accepted: dict[int, int]
    newest: int
    lag: Micros


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


class Death(msgspec.Struct, frozen=True):
    """A death that the monitor has still to report; `number` is the attempt that ended in it."""

    died_at: Micros
    number: int
    attempt_count: int


class Copy(msgspec.Struct, frozen=True):
    """A task with all that a ledger keeps of it, for another ledger to keep.

    `record` has every part.  `own` are the limits as submitted.  `token`, `worker` and `deadline`
    are there while it runs, `died_at` while it stands among the dead letters.
    """

    record: Record
    own: Limits
    spent: int
    alone: bool
    token: str | None = None
    worker: str | None = None
    deadline: Micros | None = None
    died_at: Micros | None = None
    unreported: tuple[Death, ...] = ()


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
