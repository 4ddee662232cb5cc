"""A task's record: the small item that all decisions hang on, as a value and back.  Pure.

    stored = read(item)              the record in a task's item
    item = written(stored)           and the item that it is
    waits / held / leased / dead     the members `o`, `at` of a record that is there in `look`

A step makes a new `Stored` (`msgspec.structs.replace`) and writes it by
`Change(written(old), written(new))`.  What lies beside the record is in `items`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.schema import DEAD, DUE, HELD, LEASE
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.values import PULLED
from unlost.task import SECOND, Micros, State, TaskError

HELD_BACK: Micros = 900 * SECOND
"""How long a queue holds a message back at most."""

WAITING = frozenset({State.QUEUED, State.RETRYING})


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A task's record as it stands in the table.

    `o` and `at` are where it stands in `look`, None where it does not.  `due` is kept while it
    runs (a claim by id leaves all that is indexed as it is), and holds only while it waits.
    `own_retries` and `own_timeout` are as submitted; `max_retries` and `timeout` as the last
    claim found them.  `number` is the last attempt's.  While it runs `token`, `worker`,
    `started_at` and `deadline` are set, and `lease_until` where the attempt has a lease of its
    own.  A last attempt that succeeded stands here (`started_at`, `finished_at`); all others
    that have ended are items.  `payload` or `payload_from` (the redrive whose item it is in) is
    set until a purge; `result` or `result_apart` after a success that had one.  `fingerprint`
    and `died_at` are set exactly while it is a dead letter.  `acts` counts what people did.
    `slots` are those that the running attempt takes up.  `redrive` is the one that took it last, to
    be told of its end.  `turn` is when its message comes again, where a rate has turned it away.
    `spent` and `excused` count the attempts since the submit or the last redrive.
    `standing` is how many of its steps are not made again, None where none was ever recorded, and
    `step_bytes` what they returned together.  `forgot` and `effect_key` are as in `stored.effects`.
    `brought` is how many new tasks followed from its success, None where none did.
    `leftover`: it is purged, and what lay beside it may be there still.
    """

    task_id: str
    type: str
    state: State
    priority: int
    digest: bytes
    position: int
    submitted_at: Micros
    updated_at: Micros
    shard: str
    op: str = ""
    due: Micros | None = None
    o: str | None = None
    at: str | None = None
    alone: bool = False
    own_retries: int | None = None
    own_timeout: float | None = None
    max_retries: int | None = None
    timeout: float | None = None
    number: int = 0
    spent: int = 0
    attempt_count: int = 0
    redrive_count: int = 0
    acts: int = 0
    token: str | None = None
    worker: str | None = None
    lease_until: Micros | None = None
    started_at: Micros | None = None
    finished_at: Micros | None = None
    deadline: Micros | None = None
    error: TaskError | None = None
    fingerprint: str | None = None
    died_at: Micros | None = None
    payload: str | None = None
    payload_from: int | None = None
    result: str | None = None
    result_apart: bool = False
    purged_at: Micros | None = None
    key: str | None = None
    carried: str | None = None
    slots: tuple[str, ...] = ()
    redrive: str | None = None
    turn: Micros | None = None
    standing: int | None = None
    step_bytes: int | None = None
    forgot: str | None = None
    effect_key: str | None = None
    excused: int = 0
    brought: int | None = None
    leftover: bool = False

    @property
    def due_at(self) -> Micros | None:
        """When the next attempt may start, while it waits."""
        return self.due if self.state in WAITING else None

    @property
    def runs(self) -> bool:
        return self.state is State.RUNNING

    @property
    def claimable(self) -> bool:
        """Whether a claim can find it."""
        return self.state in WAITING and self.o == schema.partition(DUE, self.shard)

    @property
    def in_record(self) -> bool:
        """Whether the last attempt stands in the record, not in an item of its own."""
        return self.runs or (self.state is State.SUCCEEDED and self.finished_at is not None)

    @property
    def apart(self) -> int:
        """How many attempts are items of their own."""
        return 0 if self.purged_at is not None else self.number - self.in_record

    @property
    def dead_letter(self) -> TaskError | None:
        """The error under which it stands among the dead letters."""
        if self.fingerprint is None:
            return None
        return UNKNOWN if self.fingerprint == UNKNOWN.fingerprint else self.error or UNKNOWN


# Members whose attribute is not the member itself: floats and what is part of a key.
TIMES = ("own_timeout", "timeout")
SPECIAL = frozenset({"task_id", "position", "shard", "error", "state", "slots", *TIMES})
SAME = tuple(name for name in Stored.__struct_fields__ if name not in SPECIAL)
FLAGS = ("alone", "result_apart", "leftover")


def read(item: Item) -> Stored:
    """The record in a task's item."""
    same: dict[str, Any] = {name: item[name] for name in SAME if name in item}
    same |= {name: float(item[name]) for name in TIMES if name in item}
    return Stored(
        task_id=schema.task_id(item["pk"]),
        state=State(item["state"]),
        position=int(item["at_submitted"]),
        shard=item["s"],
        error=error_of(item.get("error")),
        slots=tuple(item.get("slots", ())),
        **same,
    )


def written(stored: Stored) -> Item:
    """The item of a task's record; None stands for no attribute."""
    pk, sk = schema.task_key(stored.task_id)
    item: Item = {name: getattr(stored, name) for name in SAME}
    for flag in FLAGS:
        item[flag] = item[flag] or None
    item["excused"] = stored.excused or None
    for name in TIMES:
        value = getattr(stored, name)
        item[name] = None if value is None else repr(float(value))
    return {
        **item,
        "pk": pk,
        "sk": sk,
        "state": stored.state.value,
        "at_submitted": schema.place(stored.position),
        "s": stored.shard,
        "slots": list(stored.slots) or None,
        "error": None if stored.error is None else error_map(stored.error, traceback=False),
    }


def error_of(value: Any) -> TaskError | None:
    """The error in an item's map."""
    return None if value is None else TaskError(**value)


def error_map(error: TaskError, *, traceback: bool) -> Item:
    """An error as an item's map."""
    shown = {"type": error.type, "message": error.message, "fingerprint": error.fingerprint}
    if traceback and error.traceback is not None:
        shown["traceback"] = error.traceback
    return shown


# Where a record stands in `look`


def look_at(due: Micros, now: Micros, patience: Micros) -> Micros:
    """When the sweep should look at a task that is due then.

    Patience counts from when it was announced to be due.  What is due beyond what a queue can
    hold back is announced by nobody but the sweep; so is everything where there is no patience.
    """
    if patience == 0 or due - now > HELD_BACK:
        return due
    return max(due, now) + patience


def waits(stored: Stored, look_from: Micros) -> dict[str, Any]:
    """The members of a record that waits: in `due`, to be looked at from then on.  A key leaves
    its mark there, so that whoever looks for what a key has room for need not read the record."""
    marks = () if stored.key is None else (schema.key_mark(stored.key),)
    return _look(stored, DUE, schema.moment(look_from), schema.place(stored.position), *marks)


PUT_OFF: Micros = 3_600 * SECOND
"""How far ahead the sweep puts off, at most, when it looks again at what is overdue."""


def looked_at(now: Micros) -> Micros:
    """Up to where in `due` all lies that is due now: whoever looks, others may have patience."""
    return now + PUT_OFF


def held(stored: Stored, worker: str, token: str) -> dict[str, Any]:
    """The members of a record that an enlisted worker runs; where that claims by the API with the
    deadline, for the sweep to find it."""
    late = (schema.moment(stored.deadline or 0),) if token.startswith(PULLED) else ()
    return _look(stored, HELD, worker, token, *late)


def leased(stored: Stored, until: Micros) -> dict[str, Any]:
    """The members of a record that runs under a lease of its own, once the sweep met it."""
    return _look(stored, LEASE, schema.moment(until), schema.place(stored.position))


def dead(stored: Stored, died_at: Micros) -> dict[str, Any]:
    """The members of a dead letter."""
    return _look(stored, DEAD, schema.moment(died_at), schema.place(stored.position))


def _look(stored: Stored, of: str, *at: str) -> dict[str, Any]:
    return {"o": schema.partition(of, stored.shard), "at": "#".join(at)}


NOWHERE: dict[str, Any] = {"o": None, "at": None}
