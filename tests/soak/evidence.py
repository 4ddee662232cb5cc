"""What is known of a soak when it is over, from four sources that know nothing of each other."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from unlost.ledger.protocol import Ledger
from unlost.ledger.values import EVERYTHING, Query
from unlost.task import Record


class Effect(NamedTuple):
    """A line that a handler wrote: that it started, returned or raised."""

    nonce: str
    at: int


class Effects(msgspec.Struct):
    """What handlers wrote, by task and number of the attempt."""

    started: dict[tuple[str, int], list[Effect]]
    returned: dict[tuple[str, int], list[Effect]]
    raised: dict[tuple[str, int], list[Effect]]


class Told(msgspec.Struct):
    """What clients were told: by task, the statuses of submits and of cancels."""

    submit: dict[str, Counter[int]]
    cancel: dict[str, Counter[int]]


class Evidence(msgspec.Struct):
    """The ledger's records, the handlers' own, the clients' own, and what the log says of deaths
    and lost attempts."""

    records: dict[str, Record]
    effects: Effects
    told: Told
    reports: Counter[str]
    lost: Counter[str]


def effects(file: Path) -> Effects:
    """Read the handlers' file; every line must be whole."""
    found: dict[str, defaultdict[tuple[str, int], list[Effect]]] = {
        word: defaultdict(list) for word in ("started", "returned", "raised")
    }
    with file.open() as lines:
        for line in lines:
            word, task_id, number, nonce, at = line.split()
            found[word][task_id, int(number)].append(Effect(nonce, int(at)))
    return Effects(found["started"], found["returned"], found["raised"])


def told(file: Path) -> Told:
    """Read the clients' file."""
    found: dict[str, defaultdict[str, Counter[int]]] = {
        what: defaultdict(Counter) for what in ("submit", "cancel")
    }
    with file.open() as lines:
        for line in lines:
            task_id, what, status = line.split()
            found[what][task_id][int(status)] += 1
    return Told(found["submit"], found["cancel"])


async def records(ledger: Ledger) -> dict[str, Record]:
    """Read the ledger's records, in pages."""
    found: dict[str, Record] = {}
    wanted = Query(limit=500, parts=EVERYTHING)
    while True:
        page = await ledger.page(wanted)
        found |= {record.task_id: record for record in page.records}
        if page.next_cursor is None:
            return found
        wanted = replace(wanted, cursor=page.next_cursor)


def log(outputs: Iterable[Path]) -> list[dict[str, Any]]:
    """Read the logs; every line must be a record.

    Only what was killed may leave an unfinished one, as its very last.
    """
    found = []
    for output in outputs:
        *lines, _ = output.read_bytes().split(b"\n")
        for line in lines:
            record = json.loads(line)
            assert isinstance(record, dict), line
            assert {"at", "level", "event"} <= record.keys(), line
            found.append(record)
    return found


def by_task(records: Iterable[dict[str, Any]], event: str) -> Counter[str]:
    """How often an event of each task is in the log."""
    return Counter(line["taskId"] for line in records if line["event"] == event)


def deaths(record: Record) -> int:
    """How often a task has died."""
    return record.redrive_count + (record.state == "dead")
