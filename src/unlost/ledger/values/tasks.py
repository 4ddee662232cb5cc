"""What goes in and out of `protocol.Tasks`."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from unlost.task import Micros, Record, State


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
