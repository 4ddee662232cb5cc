"""What goes through `protocol.Tasks` and `protocol.Records`."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from unlost.effects import Effect, Effects, Step
from unlost.policy import Limits
from unlost.task import SECOND, Micros, Record, State


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


ROOM = 8 * 1024 * 1024
"""How much one read of many records may weigh (see `weight`), where its caller does not say."""


class Query(msgspec.Struct, frozen=True):
    """One page of a list, newest first.  `since` ≤ submitted_at < `until`.

    `types` bounds it to tasks of these, `parent` to those that followed from this task.  `error`
    is a fingerprint or an error type (for dead letters).  The page ends with `limit`
    records, or with the one with which they weigh `room` or more.
    """

    order: Order = Order.SUBMITTED
    state: State | None = None
    type: str | None = None
    types: tuple[str, ...] | None = None
    id_prefix: str = ""
    since: Micros | None = None
    until: Micros | None = None
    error: str | None = None
    limit: int = 50
    cursor: str | None = None
    parts: frozenset[Part] = frozenset()
    room: int = ROOM
    parent: str | None = None

    @property
    def named(self) -> tuple[str, ...] | None:
        """Of which types tasks may be, by what says most of them; None: of all."""
        return self.types if self.type is None else (self.type,)


class Page(msgspec.Struct, frozen=True):
    """Records and where the list goes on (None at its end).  May be short, even empty.

    `cursors` are where it goes on after each of the records.
    """

    records: list[Record]
    next_cursor: str | None
    cursors: list[str] = []


class Counts(msgspec.Struct, frozen=True):
    """The counters, in one snapshot.

    `accepted` was counted at submit, `states` at each transition, `settled` counts all entries
    into a terminal state.  `position` is the ledger's last one at that moment (see `Entry`).
    `unhandled` are types with due tasks that no living worker takes.  Neither they nor
    `oldest_due` speak of types that are paused; the latter may leave out tasks whose key had no
    room when a claim looked last.
    Of `workers`, who runs alone, or is starting, does not count.
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
    claim could ever find it.  `forgotten` says how often redrives forgot each name of a
    step; `steps` are by time, then by name, without their results.  `declared` are the
    effects that its handlers declared, by attempt and turn.  `brought` says how many tasks its
    success has submitted that were new, None where it did not say.
    """

    position: int
    record: Record
    token: str | None
    worker: str | None
    spent: int
    dead_letter: str | None
    claimable: bool
    forgotten: dict[str, int] = {}
    steps: tuple[Step, ...] = ()
    declared: tuple[Effect, ...] = ()
    brought: int | None = None


class Death(msgspec.Struct, frozen=True):
    """A death that the monitor has still to report; `number` is the attempt that ended in it."""

    died_at: Micros
    number: int
    attempt_count: int


class Copy(msgspec.Struct, frozen=True):
    """A task with all that a ledger keeps of it, for another ledger to keep.

    `record` has every part.  `own` are the limits as submitted.  `token`, `worker` and `deadline`
    are there while it runs, `died_at` while it stands among the dead letters.  `effects` has its
    effect key, unless it can never run again; `steps` come with their results.  `declared` are the
    effects that its handlers declared; `brought` is as in an entry.
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
    effects: Effects | None = None
    steps: tuple[Step, ...] = ()
    declared: tuple[Effect, ...] = ()
    brought: int | None = None
