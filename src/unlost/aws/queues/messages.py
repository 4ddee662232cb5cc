"""What goes through the queues.

A hint, in the work queue:   {"taskId": "..."}
A redrive that may go on, in the work queue, with the time in microseconds of what it is to see:
    {"redrive": "...", "at": 1}
A death, in the dead-letter queue:
    {"taskId": "...", "reportId": 1, "payload": {...}, "error": {"type": "...", "message": "..."}}

Whoever reads one needs only the ids; the rest is for people who look into the queue.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from unlost.ledger.dynamodb.hints.telling import Onward
from unlost.ledger.values import Report
from unlost.task import MAX_ID

# What JSON may hold in a string and SQS refuses in a message.
_REFUSED: Final = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}


class NotOurs(ValueError):
    """The message came from somebody else.  Says what is wrong with it."""


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """What a message is about: a task, and with `report_id` its death; or a redrive."""

    task_id: str = ""
    report_id: int | None = None
    redrive: str | None = None
    at: int | None = None


_decode = msgspec.json.Decoder(Message).decode


def read(body: str) -> Message:
    """What a message's body says.  Raises NotOurs."""
    try:
        message = _decode(body.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotOurs(str(error)) from None
    if message.redrive is None and not 1 <= len(message.task_id) <= MAX_ID:
        raise NotOurs("taskId is empty or too long")
    return message


def hint(task_id: str) -> str:
    """The message that says: look at this task."""
    return json.dumps({"taskId": task_id})


def onward(redrive: Onward) -> str:
    """The message that says: make a step of this redrive."""
    return json.dumps({"redrive": redrive.redrive_id, "at": redrive.at})


def death(report: Report) -> str:
    """The message that a task has died; its payload is the text as it was submitted."""
    why = {"type": report.error.type, "message": report.error.message}
    return (
        f'{{"taskId": {json.dumps(report.task_id)}, "reportId": {report.id},'
        f' "payload": {report.payload.translate(_REFUSED)}, "error": {json.dumps(why)}}}'
    )
