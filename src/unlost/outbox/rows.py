"""What a row of an outbox asks for, and what the service's answer means for it.  Pure."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec

from unlost import jsontext
from unlost.policy import Backoff
from unlost.task import MAX_PAYLOAD, MAX_TASK

LONGEST_REASON: Final = 1_000

REFUSED: Final = frozenset({400, 409, 413, 422})
"""Answers that would be the same at every later time."""

ROW_PAUSES: Final = Backoff(base=1.0, cap=60.0)
"""Between the tries of a row that the service does not take now, while it takes others."""

RELAY_PAUSES: Final = Backoff(base=0.1, cap=5.0)
"""Between the tries of a relay by which nothing comes through."""


class Row(msgspec.Struct, frozen=True):
    """A row as a relay takes it: texts as bytes, which may be anything that an application wrote.

    Of a row that is `too_large` there are no texts.  `tries` counts those that were in vain.
    """

    id: str
    task_id: bytes | None
    type: bytes | None
    payload: bytes | None
    options: bytes | None
    tries: int = 0
    too_large: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What the service, or the relay in its place, says to one row.

    `detail` is shown to people; status 0 is no answer at all.
    """

    status: int
    detail: str = ""

    @property
    def shown(self) -> str:
        """One line, fit for any database."""
        words = " ".join(self.detail.replace("\0", "").split())
        return words.encode("utf-8", "replace").decode()[:LONGEST_REASON]


class Fate(Enum):
    """What becomes of a row."""

    REMOVED = auto()
    REJECTED = auto()
    WAITS = auto()


def fate(status: int) -> Fate:
    """What an answer's status means for its row."""
    if status in (200, 202):
        return Fate.REMOVED
    return Fate.REJECTED if status in REFUSED else Fate.WAITS


class Unfit(Exception):
    """No task can be made of a row; `answer` is what a submit of it would be answered."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.detail)
        self.answer = answer


def task_of(row: Row) -> bytes:
    """The body of the submit that a row asks for, in one line.  Raises Unfit.

    Only what would not be one JSON object on one line is refused here, so that no row can spoil
    the ones beside it; all else is for the service to say.
    """
    if row.too_large:
        detail = f"a payload is at most {MAX_PAYLOAD} bytes, and a task {MAX_TASK}"
        raise Unfit(Answer(413, detail))
    task_id = b"outbox:" + row.id.encode() if row.task_id is None else row.task_id
    members = [b'"taskId":' + _text("task_id", task_id)]
    if row.type is not None:
        members.append(b'"type":' + _text("type", row.type))
    options = b"{}" if row.options is None else _compact("options", row.options)
    if not options.startswith(b"{"):
        raise Unfit(Answer(422, "the options must be an object"))
    if options != b"{}":
        members.append(options[1:-1])
    members.append(b'"payload":' + _compact("payload", row.payload or b""))
    return b"{" + b",".join(members) + b"}"


def _text(name: str, value: bytes) -> bytes:
    try:
        return msgspec.json.encode(value.decode())
    except UnicodeDecodeError:
        raise Unfit(Answer(400, f"the {name} is not UTF-8")) from None


def _compact(name: str, text: bytes) -> bytes:
    try:
        return jsontext.compact(text).encode()
    except UnicodeDecodeError:
        raise Unfit(Answer(400, f"the {name} is not UTF-8")) from None
    except RecursionError:
        raise Unfit(Answer(400, f"the {name} is nested too deeply")) from None
    except msgspec.DecodeError as error:
        raise Unfit(Answer(400, f"the {name} is not JSON: {error}")) from None
