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
        yield [_line(bytes(letter)) for letter in page.tasks]


def _line(letter: bytes) -> bytes:
    """A letter's JSON on one line, by whatever rules of lines it is read.

    A line feed between two tokens is as good as a space, and no token has one; what else ends a
    line by Unicode's rules can be in a string only, where it may as well be escaped.
    """
    letter = letter.replace(b"\n", b" ")
    for end in "\x85\u2028\u2029":
        letter = letter.replace(end.encode(), b"\\u%04x" % ord(end))
    return letter + b"\n"


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
