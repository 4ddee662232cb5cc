"""What a task is: its states, the one table of transitions, and the values that describe it.

Values only: no clock, no I/O, no randomness.  Times are integers, microseconds since the Unix
epoch (`Micros`); durations inside the ledger are `Micros` too, durations that people set are
seconds.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

DEFAULT_TYPE = "default"

RESERVED = "unlost."
"""How the types begin that are the service's own: no client submits one, no user's handler serves
one."""

WEBHOOK_TYPE = RESERVED + "webhook"
"""The type of the service's own tasks that tell others of the ends of tasks.  No client may submit
one: what it says would be signed."""

Micros = int
SECOND: Micros = 1_000_000

# What a task may ask for, wherever it is asked: characters, counts and seconds.
MAX_ID = 255
MAX_TYPE = 100
MAX_KEY = 255
MAX_PRIORITY = 100  # and no lower than its negative
MAX_RETRIES = 100
MAX_EXCUSED = 1_000
MAX_TIMEOUT = 43_200
MAX_DELAY = 31_536_000
MAX_PAYLOAD = 256 * 1024  # bytes
MAX_TASK = 320 * 1024  # bytes of all that a submit says


class State(StrEnum):
    """Where a task stands.  `succeeded`, `dead` and `cancelled` are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What can happen to a task after it was submitted."""

    CLAIM = "claim"
    SUCCEED = "succeed"
    RETRY = "retry"
    DIE = "die"
    RELEASE = "release"
    CANCEL = "cancel"
    REDRIVE = "redrive"
    DISCARD = "discard"


TERMINAL = frozenset({State.SUCCEEDED, State.DEAD, State.CANCELLED})

FINAL = frozenset({State.SUCCEEDED, State.CANCELLED})
"""Where a task never runs again."""

# The whole life of a task.  An absent entry is a refusal: every ledger's guards are tested
# against this table, and the README's picture of the states is drawn from it.
TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.QUEUED, Event.CLAIM): State.RUNNING,
    (State.RETRYING, Event.CLAIM): State.RUNNING,
    (State.RUNNING, Event.SUCCEED): State.SUCCEEDED,
    (State.RUNNING, Event.RETRY): State.RETRYING,
    (State.RUNNING, Event.DIE): State.DEAD,
    (State.RUNNING, Event.RELEASE): State.QUEUED,
    (State.QUEUED, Event.CANCEL): State.CANCELLED,
    (State.RETRYING, Event.CANCEL): State.CANCELLED,
    (State.RUNNING, Event.CANCEL): State.CANCELLED,
    (State.DEAD, Event.REDRIVE): State.QUEUED,
    (State.DEAD, Event.DISCARD): State.CANCELLED,
}


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    RELEASED = "released"
    CANCELLED = "cancelled"


class TaskError(msgspec.Struct, frozen=True, gc=False):
    """Why an attempt failed.  `fingerprint` is the same for errors that look alike."""

    type: str
    message: str
    traceback: str | None = None
    fingerprint: str = ""


class Attempt(msgspec.Struct, frozen=True):
    """One run of a handler.  `outcome` is None while it runs.  A failure that was `excused` spent
    none of the task's retries."""

    number: int
    started_at: Micros
    finished_at: Micros | None = None
    outcome: Outcome | None = None
    error: TaskError | None = None
    next_attempt_at: Micros | None = None
    excused: bool = False


class Act(msgspec.Struct, frozen=True, gc=False):
    """What a person did to a task (cancel, redrive, discard), kept in its history.

    `by` is who they said they were, `api_key` the name of the key that they brought, `call` which
    call it was, where it may come twice (see `ledger.calls`), `redrive` the id of the redrive that
    did it for them.
    """

    at: Micros
    event: Event
    by: str | None = None
    reason: str | None = None
    api_key: str | None = None
    call: str | None = None
    redrive: str | None = None


class Submission(msgspec.Struct, frozen=True, gc=False):
    """A task as a client asked for it, checked and ready to be stored.

    `payload` is JSON text, kept as sent.  `digest` identifies payload and options by value.
    `run_at`, where given, beats `delay`.  `key` names whose task it is, for limits by key.
    `carried` is JSON text that goes with the task and that no ledger looks into.  None stands for
    "the client left it out".
    """

    task_id: str
    payload: str
    digest: bytes
    type: str = DEFAULT_TYPE
    priority: int = 0
    delay: Micros = 0
    run_at: Micros | None = None
    max_retries: int | None = None
    timeout: float | None = None
    key: str | None = None
    carried: str | None = None


class Record(msgspec.Struct, frozen=True):
    """A task as the ledger knows it.

    `payload`, `result`, `attempts` and `history` are loaded only where a call asks for them
    (None or empty otherwise).  `max_retries` and `timeout` are what holds for the task: the
    submit's, else what its last claim brought, else None.  `due_at` is when the next attempt
    may start, while the task is queued or retrying.  `attempt_count` has all attempts but those
    that were released, `excused_count` those that were excused since the submit or the last
    redrive.  `error` is the last one that an attempt
    had; its traceback is loaded only with `attempts`.
    """

    task_id: str
    type: str
    state: State
    priority: int
    digest: bytes
    submitted_at: Micros
    updated_at: Micros
    due_at: Micros | None
    max_retries: int | None
    timeout: float | None
    attempt_count: int
    redrive_count: int
    error: TaskError | None = None
    purged_at: Micros | None = None
    payload: str | None = None
    result: str | None = None
    attempts: tuple[Attempt, ...] = ()
    history: tuple[Act, ...] = ()
    key: str | None = None
    carried: str | None = None
    excused_count: int = 0
