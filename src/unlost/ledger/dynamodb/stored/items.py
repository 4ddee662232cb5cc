"""What lies beside a task's record (attempts, acts, large texts) and reports, as items.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.schema import INLINE, REPORT, Key
from unlost.ledger.dynamodb.stored.record import Stored, error_map, error_of
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.values import Report
from unlost.task import Act, Attempt, Event, Micros, Outcome

PURGED: Item = {"text": '{"purged":true}'}
"""Stands for what a purge has taken."""


def attempt_item(task_id: str, attempt: Attempt) -> Item:
    """An attempt that ended without success."""
    pk, sk = schema.attempt_key(task_id, attempt.number)
    return {
        "pk": pk,
        "sk": sk,
        "started_at": attempt.started_at,
        "finished_at": attempt.finished_at,
        "outcome": None if attempt.outcome is None else attempt.outcome.value,
        "next_at": attempt.next_attempt_at,
        "error": None if attempt.error is None else error_map(attempt.error, traceback=True),
        "excused": attempt.excused or None,
    }


def read_attempt(item: Item) -> Attempt:
    """The attempt in an item."""
    return Attempt(
        int(item["sk"].removeprefix("a#")),
        item["started_at"],
        item["finished_at"],
        Outcome(item["outcome"]),
        error_of(item.get("error")),
        item.get("next_at"),
        item.get("excused", False),
    )


def act_item(task_id: str, number: int, act: Act) -> Item:
    """What a person did."""
    pk, sk = schema.act_key(task_id, number)
    shown = {"done_at": act.at, "event": act.event.value, "by": act.by, "reason": act.reason}
    how = {"api_key": act.api_key, "call": act.call, "redrive": act.redrive}
    return {"pk": pk, "sk": sk, **shown, **how}


def read_act(item: Item) -> Act:
    """The act in an item."""
    how = (item.get(name) for name in ("by", "reason", "api_key", "call", "redrive"))
    return Act(item["done_at"], Event(item["event"]), *how)


def with_payload(stored: Stored, payload: str, redrive: int) -> tuple[Stored, tuple[Item, ...]]:
    """The record with this payload, and the item that it takes where it is large."""
    if small(payload):
        return replace(stored, payload=payload, payload_from=None), ()
    pk, sk = schema.payload_key(stored.task_id, redrive)
    apart = replace(stored, payload=None, payload_from=redrive)
    return apart, ({"pk": pk, "sk": sk, "text": payload},)


def with_result(stored: Stored, result: str | None) -> tuple[Stored, tuple[Item, ...]]:
    """The record with this result, and the item that it takes where it is large."""
    if result is None or small(result):
        return replace(stored, result=result), ()
    pk, sk = schema.result_key(stored.task_id)
    item = {"pk": pk, "sk": sk, "text": result}
    return replace(stored, result_apart=True), (item,)


def follow_ups_item(task_id: str, follow_ups: Iterable[str]) -> Item:
    """What names the tasks that followed from this one."""
    pk, sk = schema.follow_ups_key(task_id)
    return {"pk": pk, "sk": sk, "ids": sorted(follow_ups)}


def small(text: str) -> bool:
    """Whether a text stands in the record itself."""
    return len(text) <= INLINE and len(text.encode()) <= INLINE


# Reports


def report_item(stored: Stored, report_id: int) -> Item:
    """The report of the death that `stored` is now; its error is in the last attempt's item."""
    pk, sk = schema.report_key(report_id)
    died_at = stored.died_at or 0
    return {
        "pk": pk,
        "sk": sk,
        "task_id": stored.task_id,
        "type": stored.type,
        "number": stored.number,
        "attempt_count": stored.attempt_count,
        "submitted_at": stored.submitted_at,
        "died_at": died_at,
        "payload": stored.payload,
        "payload_from": stored.payload_from,
        **reporting(stored.shard, report_id, died_at),
    }


def reporting(shard: str, report_id: int, free_at: Micros) -> Item:
    """The attributes of a report that nobody has leased from `free_at` on."""
    at = f"{schema.moment(free_at)}#{report_id:019}"
    return {"o": schema.partition(REPORT, shard), "at": at, "free_at": free_at}


def report_keys(item: Item) -> list[Key]:
    """What a report needs beside its item: the attempt, and the payload where it is large."""
    keys = [schema.attempt_key(item["task_id"], item["number"])]
    if item.get("payload_from") is not None:
        keys.append(schema.payload_key(item["task_id"], item["payload_from"]))
    return keys


def report(item: Item, beside: Mapping[Key, Item]) -> Report:
    """The report in an item, with what `report_keys` named.

    A purge may have been quicker, where the index hid this report from it: then it says so, and
    keeps no other report from being made.
    """
    attempt, *payload = (beside.get(key, PURGED) for key in report_keys(item))
    return Report(
        schema.report_id(item["pk"]),
        item["task_id"],
        item["type"],
        payload[0]["text"] if payload else item["payload"],
        error_of(attempt.get("error")) or UNKNOWN,
        item["attempt_count"],
        item["submitted_at"],
        item["died_at"],
    )


def shard_of(report: Item) -> str:
    """The shard that a report stands in."""
    return str(report["o"]).partition("#")[2]
