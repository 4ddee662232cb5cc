"""Calls about dead letters that more than one command makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from unlost.cli import bounds
from unlost.cli.client.answers import TaskSeen, pages
from unlost.cli.client.connection import NoSuchTask, Refused, Service, read, task_path
from unlost.cli.client.insisting import call_id, insist
from unlost.task import MAX_ID

EXPORT_PAGE = 100


def export_lines(service: Service, type_: str | None, error: str | None) -> Iterator[list[bytes]]:
    """Dead letters whole, as lines of JSON, page by page.  Raises WrongUsage."""
    query = {**filters(type_, error), "include": "payload,result,attempts,traceback"}
    for page in pages(service, "/dead-letters", query, None, EXPORT_PAGE):
        # A line feed between two tokens of JSON is as good as a space; no token has one.
        yield [bytes(letter).replace(b"\n", b" ") + b"\n" for letter in page.tasks]


def filters(type_: str | None, error: str | None) -> dict[str, str | int | None]:
    """As the service wants them.  Raises WrongUsage for what it would refuse."""
    bounds.type_name(type_)
    bounds.text("--error", error, MAX_ID, shortest=1)
    return {"type": type_, "error": error}


def discard_one(service: Service, task_id: str, said: Mapping[str, object]) -> None:
    """Discard one; `said` are who does it, and why.  Raises NoService, Refused."""
    path = task_path("/dead-letters", task_id)
    body = msgspec.json.encode({**said, "id": call_id()})
    if done_before := insist(lambda: service.delete(path, body)):
        read(done_before, TaskSeen)


def discarded(service: Service, task_id: str, said: Mapping[str, object]) -> str | None:
    """Discard one; why that was refused, None if it was not."""
    try:
        discard_one(service, task_id, said)
    except (Refused, NoSuchTask) as refusal:
        return str(refusal)
    return None
