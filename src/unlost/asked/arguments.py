"""What a task may ask for, as Python's arguments: turned into the members of a submit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from unlost import jsontext
from unlost.asked.members import Members, WrongMembers
from unlost.asked.submission import Rules, submission_of
from unlost.task import MAX_PAYLOAD, Submission

OPTIONS: Final = {
    "type": "type",
    "priority": "priority",
    "delay_seconds": "delaySeconds",
    "run_at": "runAt",
    "max_retries": "maxRetries",
    "timeout_seconds": "timeoutSeconds",
    "key": "key",
    "callback_url": "callbackUrl",
}
"""The options, and the name of each in `POST /tasks`."""


NAMES: Final = {member: name for name, member in OPTIONS.items()} | {"taskId": "task_id"}
"""What Python calls a member."""


def payload(value: object) -> str:
    """A payload as JSON.  Raises ValueError."""
    text = jsontext.encode(value)
    if not text.startswith("{"):
        raise ValueError("a payload must be a dict")
    if len(text.encode()) > MAX_PAYLOAD:
        raise ValueError(f"a payload is at most {MAX_PAYLOAD} bytes")
    return text


def options(given: Mapping[str, object]) -> dict[str, object]:
    """Options as members of a submit, without those that are None.  Raises ValueError."""
    if unknown := given.keys() - OPTIONS.keys():
        raise ValueError(f"a task has no option {', '.join(sorted(unknown))}")
    return {OPTIONS[name]: _plain(value) for name, value in given.items() if value is not None}


def _plain(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("run_at must know its time zone")
    return value.isoformat()


def submission(members: Mapping[str, object], payload: str, rules: Rules) -> Submission:
    """The task of these members of a submit and this payload.  Raises ValueError."""
    tree = {name: _parsed(jsontext.encode(value)) for name, value in members.items()}
    task = Members({**tree, "payload": _parsed(payload)})
    try:
        return submission_of(task, payload.encode(), rules)
    except WrongMembers as wrong:
        told = (f"{NAMES.get(path[0], path[0])} {why}" for path, why in wrong.faults)
        raise ValueError("; ".join(told)) from None


def _parsed(text: str) -> object:
    try:
        return jsontext.parse(text.encode())
    except jsontext.NotJson as wrong:  # such as a number beyond all bounds
        raise ValueError(f"this is not JSON: {wrong}") from None
