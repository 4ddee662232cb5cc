"""Values that are not shown: those at some JSON pointers of payloads and results.  Pure.

Whatever shows a task masks them; handlers and webhooks get them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from unlost.task import WEBHOOK_TYPE, Record, Submission

MASK: Final = "•••"
"""What is shown in place of a value."""

ANY: Final = "*"
"""A step of a pointer that leads to every member and every element."""

_MASKED: Final = msgspec.json.encode(MASK)

_object = msgspec.json.Decoder(dict[str, Raw]).decode
_array = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.encode

_Steps = dict[str, "_Steps | None"]
"""Where the pointers lead from here: on, or (None) to a value that is not shown."""

T = TypeVar("T", Record, Submission)


def is_pointer(text: str) -> bool:
    """Whether it is a JSON pointer (RFC 6901) to a part of a value."""
    return text.startswith("/") and not text.replace("~0", "").replace("~1", "").count("~")


class Redaction:
    """Masks the values at `pointers`, and puts them back."""

    def __init__(self, pointers: Sequence[str] = ()) -> None:
        self._steps: _Steps = {}
        for pointer in pointers:
            *before, last = (
                step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]
            )
            at: _Steps | None = self._steps
            for step in before:
                at = None if at is None else at.setdefault(step, {})
            if at is not None:
                at[last] = None

    def __bool__(self) -> bool:
        return bool(self._steps)

    def mask(self, text: str, task_type: str = "") -> str:
        """A JSON text of a task of this type as it may be shown; the same where nothing is to be
        masked."""
        if not self._steps:
            return text
        steps: _Steps = self._steps
        if task_type == WEBHOOK_TYPE:  # its payload holds another task's result
            steps = {"data": {"result": self._steps}}
        masked = _masked(text.encode(), [steps])
        return text if masked is None else masked.decode()

    def shown(self, task: T) -> T:
        """A task as it may be shown."""
        if not self._steps:
            return task
        if isinstance(task, Record):
            payload = self._mask(task.payload, task.type)
            return replace(task, payload=payload, result=self._mask(task.result))
        return replace(task, payload=self.mask(task.payload, task.type))

    def _mask(self, text: str | None, task_type: str = "") -> str | None:
        return None if text is None else self.mask(text, task_type)

    def restore(self, sent: str, kept: str) -> str:
        """A text that was shown and came back: where it has a mask, the value that was kept."""
        if not self._steps or (MASK not in sent and "\\u2022" not in sent):
            return sent
        return _restored(sent.encode(), kept.encode(), [self._steps]).decode()


NOTHING: Final = Redaction()
"""Everything is shown."""


def _members(text: bytes) -> tuple[bytes, list[tuple[str, bytes]]] | None:
    """The opening bracket of an object or an array, and what is in it; None for other values."""
    if text[:1] == b"{":
        return b"{", [(name, bytes(value)) for name, value in _object(text).items()]
    if text[:1] == b"[":
        return b"[", [(str(at), bytes(value)) for at, value in enumerate(_array(text))]
    return None


def _joined(bracket: bytes, members: Iterator[tuple[str, bytes]]) -> bytes:
    if bracket == b"[":
        return b"[" + b",".join(value for _, value in members) + b"]"
    return b"{" + b",".join(_encode(name) + b":" + value for name, value in members) + b"}"


def _below(name: str, ways: Sequence[_Steps]) -> tuple[bool, list[_Steps]]:
    """Whether a member is not shown, and where pointers lead on from it."""
    found = [way[step] for way in ways for step in {name, ANY} if step in way]
    return None in found, [way for way in found if way is not None]


def _masked(text: bytes, ways: Sequence[_Steps]) -> bytes | None:
    """None where nothing is to be masked."""
    there = _members(text)
    if there is None:
        return None
    bracket, members = there
    changed = False
    values = []
    for name, value in members:
        hidden, further = _below(name, ways)
        masked = _MASKED if hidden else _masked(value, further) if further else None
        changed = changed or masked is not None
        values.append((name, value if masked is None else masked))
    return _joined(bracket, iter(values)) if changed else None


def _restored(sent: bytes, kept: bytes, ways: Sequence[_Steps]) -> bytes:
    there, before = _members(sent), _members(kept)
    if there is None or before is None or there[0] != before[0]:
        return sent
    old = dict(before[1])

    def values() -> Iterator[tuple[str, bytes]]:
        for name, value in there[1]:
            hidden, further = _below(name, ways)
            if name not in old or not (hidden or further):
                yield name, value
            elif hidden:
                yield name, old[name] if _is_mask(value) else value
            else:
                yield name, _restored(value, old[name], further)

    return _joined(there[0], values())


def _is_mask(value: bytes) -> bool:
    return value[:1] == b'"' and msgspec.json.decode(value) == MASK
