"""What a submit must be answered, said a second time, with the standard library's JSON.

It shares no code with the service.  It knows nothing of sizes, and numbers must be of a size that
can be written out.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

DEEPEST = 128
RIGHT_TIMES = {
    "2030-01-01T00:00:00Z": 0, "2030-01-01T01:00:00+01:00": 0, "2030-01-01T00:00:00.000Z": 0,
    "2029-12-31t23:59:59.5-00:30": 1799.5,
}  # fmt: skip
"""The times that there are, in seconds after one of them."""

DEFAULTS: dict[str, object] = {"type": "default", "priority": 0, "delaySeconds": 0}


def tree(body: bytes) -> Any:
    """The value of a strict JSON text, numbers as Fractions.  Raises ValueError."""
    text = body.decode()
    if text.startswith("\ufeff"):
        raise ValueError("a byte order mark")
    found = json.loads(
        text,
        object_pairs_hook=_unique,
        parse_int=_number,
        parse_float=_number,
        parse_constant=_refuse,
    )
    _no_surrogate(found)
    return found


def _number(text: str) -> Fraction:
    return Fraction(Decimal(text))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _no_surrogate(value: Any) -> None:
    match value:
        case str():
            value.encode()
        case list():
            for item in value:
                _no_surrogate(item)
        case dict():
            for name, item in value.items():
                name.encode()
                _no_surrogate(item)


def depth(value: Any) -> int:
    match value:
        case list():
            return 1 + max(map(depth, value), default=0)
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
    return 0


def judge(body: bytes) -> tuple[int, Any]:
    """The status of a first submit of this, and what its equals have in common if that is 202."""
    try:
        return judge_tree(tree(body))
    except (ValueError, RecursionError):
        return 400, None


def judge_tree(task: Any) -> tuple[int, Any]:
    """The same for a body that is JSON."""
    if depth(task) > DEEPEST + 1:
        return 400, None
    if not isinstance(task, dict) or not _members_are_right(task):
        return 422, None
    options = DEFAULTS | {name: task[name] for name in task.keys() - {"taskId", "payload"}}
    if "runAt" in options:
        options["runAt"] = RIGHT_TIMES[options["runAt"]]
    return 202, (task["taskId"], same(task["payload"]), same(options))


def same(value: Any) -> Any:
    """Equal for equal JSON only: `==` in Python does not tell true from 1."""
    match value:
        case list():
            return ("list", *map(same, value))
        case dict():
            return ("dict", frozenset((name, same(item)) for name, item in value.items()))
        case bool() | None:
            return ("word", str(value))
    return value


class Model:
    """What is stored, and so what the next submits must be answered."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def submit(self, body: bytes) -> int:
        return self._store(judge(body))

    def _store(self, judged: tuple[int, Any]) -> int:
        status, key = judged
        if status != 202:
            return status
        if key[0] in self.known:
            return 200 if self.known[key[0]] == key else 409
        self.known[key[0]] = key
        return 202

    def submit_lines(self, body: bytes) -> list[int]:
        """The statuses of the lines that are not blank."""
        return [self.submit(line) for line in body.split(b"\n") if line.strip(b" \t\r")]

    def submit_array(self, body: bytes) -> int | list[int]:
        """The statuses of the elements, or of the whole."""
        try:
            whole = tree(body)
        except (ValueError, RecursionError):
            return 400
        if not isinstance(whole, dict) or whole.keys() != {"tasks"}:
            return 422
        if not isinstance(whole["tasks"], list):
            return 422
        judged = [judge_tree(task) for task in whole["tasks"]]
        if any(status == 400 for status, _ in judged):
            return 400
        return [self._store(one) for one in judged]


def _members_are_right(task: dict[str, Any]) -> bool:
    rules: dict[str, Callable[[Any], bool]] = {
        "taskId": _is_id,
        "payload": lambda value: isinstance(value, dict),
        "type": lambda value: _is_text(value, 100),
        "priority": lambda value: _is_number(value, -100, 100) and value.denominator == 1,
        "maxRetries": lambda value: _is_number(value, 0, 100) and value.denominator == 1,
        "delaySeconds": lambda value: _is_number(value, 0, 31_536_000),
        "timeoutSeconds": lambda value: _is_number(value, 0, 43_200) and value > 0,
        "runAt": _is_time,
        "key": lambda value: _is_text(value, 255),
    }
    if not {"taskId", "payload"} <= task.keys() <= rules.keys():
        return False
    if {"delaySeconds", "runAt"} <= task.keys():
        return False
    return all(rules[name](value) for name, value in task.items())


def _is_text(value: Any, longest: int) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value) <= longest
        and not any(unicodedata.category(character) == "Cc" for character in value)
    )


def _is_id(value: Any) -> bool:
    return _is_text(value, 255) and value not in {".", ".."}


def _is_number(value: Any, low: int, high: int) -> bool:
    return isinstance(value, Fraction) and low <= value <= high


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and value in RIGHT_TIMES
