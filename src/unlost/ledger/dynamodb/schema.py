"""The DynamoDB ledger's one table: its keys, its indexes, and why they are so.

Every item has `pk` and `sk`; an item that may change has `op`, random and new with each write,
which is the version that the next write is conditional on.

* a task: pk `t#<task id>`.  sk `task` is the small record that transitions rewrite; it is all
  that decisions hang on.  What it leaves out lies beside it under the same pk, each item written
  once, in the transaction that makes the record speak of it: `payload#<n>` (a payload over
  `INLINE` bytes; n = the redrive that brought it, 0 the submit), `result` (over `INLINE`),
  `a#<number>` (an attempt that ended without success), `h#<number>` (what a person did),
  `follow_ups` (the ids of the tasks that its success has submitted).
  So whoever read the record knows all the keys, and a snapshot needs no lock.  Steps
  (`step#<name>`) are found by their prefix, and only where the record says that there are any.
* a report of a death: pk `report#<id>`, sk `report`.
* workers: pk `workers`, sk the worker's id.  Counters: pk `counts`.
* what is set for a type (`controlling`): pk `pauses`, sk the type: its pause, limits and breaker.
  A type for which nothing is set has no item.
* slots (`slots`): pk `slots#<type>`, sk `type#<n>`, `key#<mark of the key>#<n>` or
  `probe#<since>#<n>`; one for each limit and each running attempt that counts for it, written and
  removed in the transactions that start and end the attempt.  An unlimited type has none.
  Settings of the table: pk `config`, sk `config`.
* schedules (`stored.schedule`): pk `schedules`, sk the id.  Beside each, pk `schedule#<id>`: its
  `payload`, and `tick#<number>`, the newest ticks.  How many there are: pk `config`, sk
  `schedules`.
* redrives (`stored.redrives`): pk `redrive#<id>`, sk `redrive` (what was asked for and how far it
  is), `named#<n>` (pieces of what may be large in that) and `w#<task id>` (a letter that it took
  and that has not ended).  All of them, by start: pk `redrives`; those that are open: pk
  `redrives#open`.
* instants of rates (`pacing`): pk `pace#<type>`, sk `start#<mark of the key>#<n>` (no mark: the
  type's), and `turn#…` for those of what was turned away; expired by `ttl`.
* effects that handlers declared: pk `effects#SS` (the task's shard), sk
  `<mark of the task's id>#<attempt>#<turn>`.
* what the effect keys of tasks come from: pk `config`, sk `effects`.
* claims of workers that claim by the API (`stored.claims`): pk `claim#<what its tokens begin
  with>`, sk `claim`; expired by `ttl`.
* API keys (`stored.key`): pk `keys`, sk `name#<name>`; none is ever removed.

Index `look` (sparse; `o` names a partition and shard, `at` orders it):
  `due#SS`     what waits, by when to look at it (its key's mark comes last); also what runs under
               a lease of its own until the sweep meets it there: a claim by id changes nothing
               that is indexed
  `lease#SS`   what runs under a lease of its own and was met by the sweep, by the lease's end
  `held#SS`    what enlisted workers run, by worker and token; what was claimed by the API has its
               deadline last
  `dead#SS`    dead letters, by time of death and position
  `schedule#SS`  schedules, by their next time; one that is paused is in none
  `report#SS`  reports of deaths (in the shard of the task), by when they may be claimed and id
Index `submitted` (immutable, keys only): all tasks by position, in shards `SS`.

Indexes lag on AWS.  They say where to look; what is found there is read again, consistently.
"""

from __future__ import annotations

import hashlib
from typing import Any

LOOK = "look"
SUBMITTED = "submitted"
PROJECTED = ("type", "priority", "due", "alone", "fingerprint")
TIME_TO_LIVE = "ttl"

INLINE = 4 * 1024
"""Bytes of UTF-8 up to which payload and result stand in the record itself."""

DUE, LEASE, HELD, DEAD, REPORT = "due", "lease", "held", "dead", "report"
SCHEDULED = "schedule"

SHARDS = 8
"""Into how many partitions each list of an index is spread; a table keeps what it began with."""
MOST_SHARDS = 100

VERSION = 1

TASK = "task"
STEP = "step#"
CONFIG = ("config", "config")
PING = ("config", "ping")
EFFECTS = ("config", "effects")
WORKERS = "workers"
CONTROLS = "pauses"  # the only control that there was at first
COUNTS = "counts"
KEYS = "keys"
REDRIVES = "redrives"
OPEN_REDRIVES = "redrives#open"

LAST = "\U0010ffff"
"""Sorts after everything that may follow a prefix."""

Key = tuple[str, str]


def definition(table: str) -> dict[str, Any]:
    """The arguments of CreateTable; time to live is set apart, on `TIME_TO_LIVE`."""
    keys = ("pk", "sk", "o", "at", "s", "at_submitted")
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
        "KeySchema": _keys("pk", "sk"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": LOOK,
                "KeySchema": _keys("o", "at"),
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": list(PROJECTED),
                },
            },
            {
                "IndexName": SUBMITTED,
                "KeySchema": _keys("s", "at_submitted"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    }


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def task_key(task_id: str) -> Key:
    """Where a task's record is."""
    return f"t#{task_id}", TASK


def task_id(pk: str) -> str:
    """The task whose items have this pk."""
    return pk.removeprefix("t#")


def attempt_key(task_id: str, number: int) -> Key:
    """Where an attempt is that ended without success."""
    return f"t#{task_id}", f"a#{number:06}"


def act_key(task_id: str, number: int) -> Key:
    """Where the task's act with this number (from 1) is."""
    return f"t#{task_id}", f"h#{number:06}"


def payload_key(task_id: str, redrive: int) -> Key:
    """Where a large payload is; `redrive` is the number of the one that brought it."""
    return f"t#{task_id}", f"payload#{redrive}"


def result_key(task_id: str) -> Key:
    """Where a large result is."""
    return f"t#{task_id}", "result"


def step_key(task_id: str, name: str) -> Key:
    """Where what is recorded of a step is."""
    return f"t#{task_id}", f"{STEP}{name}"


def declared_pk(shard: str) -> str:
    """Where the effects are that handlers of tasks in this shard declared."""
    return f"effects#{shard}"


def follow_ups_key(task_id: str) -> Key:
    """Where the ids of a task's follow-ups are."""
    return f"t#{task_id}", "follow_ups"


def report_key(report_id: int) -> Key:
    """Where the report of a death is."""
    return f"report#{report_id}", REPORT


def report_id(pk: str) -> int:
    """The report whose item has this pk."""
    return int(pk.removeprefix("report#"))


def redrive_key(redrive_id: str) -> Key:
    """Where a redrive is."""
    return f"redrive#{redrive_id}", "redrive"


def key_mark(key: str) -> str:
    """What stands for a key in sort keys, which may be no longer than 1,024 bytes."""
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


def marked(at: str) -> str | None:
    """The key's mark in an entry of `due`."""
    parts = at.split("#")
    return parts[2] if len(parts) > 2 else None


def claim_key(known_by: str) -> Key:
    """Where a claim is whose tokens begin so."""
    return f"claim#{known_by}", "claim"


def known_by(pk: str) -> str:
    """With what the tokens of the claim begin whose item has this pk."""
    return pk.removeprefix("claim#")


def slots_pk(task_type: str) -> str:
    """Where the slots of a type are."""
    return f"slots#{task_type}"


def pace_key(task_type: str, of: str, mark: str | None, number: int) -> Key:
    """Where an instant of a type's rate is, or of one of its keys."""
    return f"pace#{task_type}", f"{of}#{mark or ''}#{number:03}"


def control_key(task_type: str) -> Key:
    """Where that is which is set for a type."""
    return CONTROLS, task_type


def shard(task_id: str, shards: int) -> str:
    """The shard of a task, the same for every process."""
    digest = hashlib.sha256(task_id.encode()).digest()
    return shard_name(int.from_bytes(digest[:4]) % shards)


def shard_name(number: int) -> str:
    """A shard as it stands in index keys."""
    return f"{number:02}"


def shard_names(shards: int) -> list[str]:
    """All shards of a table."""
    return [shard_name(number) for number in range(shards)]


def partition(of: str, shard: str) -> str:
    """A partition of `look`, such as `due#07`."""
    return f"{of}#{shard}"


def moment(at: int) -> str:
    """A time as it stands in index keys: microseconds, ordered as text.

    Times before the epoch (a clock, or `runAt`, gone wrong) stand at its beginning.
    """
    return f"{max(at, 0):020}"


def up_to(at: int) -> str:
    """A sort key above all that begin with this time, and below those of any later one."""
    return f"{moment(at)}#{LAST}"


def place(position: int) -> str:
    """A position as it stands in index keys."""
    return f"{position:038}"
