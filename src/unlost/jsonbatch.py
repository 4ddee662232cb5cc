"""The elements of a batch's one array, each as it was sent; everything outside them is checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw

from unlost.jsontext import NotJson


class NotBatch(ValueError):
    """The body is JSON, but not an object with the one member asked for, an array."""


class TooManyTasks(ValueError):
    """The batch holds more tasks than it may."""


@cache
def _batch(member: str) -> Callable[[bytes | Raw], Any]:
    kind = msgspec.defstruct("Batch", [(member, Raw)], forbid_unknown_fields=True)
    return msgspec.json.Decoder(kind).decode


_elements = msgspec.json.Decoder(list[Raw]).decode
_syntax = msgspec.json.Decoder(Raw).decode
_BEFORE_VALUE = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"[^"]*"[ \t\r\n]*:[ \t\r\n]*')
_BEFORE_ELEMENT = re.compile(rb"[ \t\r\n]*[\[,][ \t\r\n]*")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_AFTER_VALUE = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")
_PIECE = 64 * 1024


def split_tasks(body: bytes, *, limit: int, member: str = "tasks") -> list[Raw]:
    """Return the elements of `{"tasks": [...]}`, or of an object with the one other `member`, as
    raw texts, views that keep `body` alive.

    Everything outside the elements is checked here; the bytes of each are still to be parsed.
    Raises `NotJson` (a second such member included), `NotBatch` if the body has another shape, and
    `TooManyTasks` above `limit` elements, without having made them all.
    """
    # The decoder refuses lone surrogates at once, which are to be the fault of their element alone.
    array = _BEFORE_VALUE.match(body)
    legible = without_surrogates(body, array.end() if array else len(body))
    try:
        tasks = getattr(_batch(member)(_syntax(legible)), member)
        # Of several members the decoder keeps the last; only a single one fills the object.
        before = _BEFORE_VALUE.match(legible)
        if not before or not _AFTER_VALUE.fullmatch(legible, before.end() + len(memoryview(tasks))):
            raise NotJson(f"the member name {member!r} occurs twice in one object")
        elements = _elements(tasks) if body.count(b",") < limit else _first(tasks, limit + 1)
    except msgspec.ValidationError:
        told = f"the body must be an object with the one member {member}, an array"
        raise NotBatch(told) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from None
    if len(elements) > limit:
        raise TooManyTasks
    return elements if legible is body else _as_sent(elements, body, before.end())


def without_surrogates(body: bytes, start: int = 0) -> bytes | bytearray:
    """Return a JSON text of the same length with spaces in place of escaped surrogates, and maybe
    slashes in place of escaped backslashes.

    It is gone through in pieces: what is replaced takes ten times its size meanwhile.
    """
    if body.find(b"\\u", start) < 0:  # which is quick
        return body
    legible: bytearray | None = None
    while start < len(body):
        piece = body[start : start + _PIECE].replace(rb"\\", rb"\/")
        last = piece.find(b"\\", 1 - len(rb"\uXXXX"))
        if last > 0:
            piece = piece[:last]  # it may go on behind the piece
        replaced, count = _SURROGATE.subn(rb"\\u0020", piece)
        if count:
            legible = legible or bytearray(body)
            legible[start : start + len(piece)] = replaced
        start += len(piece)
    return body if legible is None else legible


def _as_sent(elements: list[Raw], body: bytes, start: int) -> list[Raw]:
    """The same elements of `body`, whose array starts there."""
    found = []
    for element in elements:
        between = _BEFORE_ELEMENT.match(body, start)
        begin = between.end() if between else start
        start = begin + len(memoryview(element))
        found.append(Raw(memoryview(body)[begin:start]))
    return found


def _first(tasks: Raw, count: int) -> list[Raw]:
    # A list would take as many elements as the sender likes, at 80 bytes for each `0,`.
    elements = msgspec.structs.astuple(_slots(count)(tasks))
    return [element for element in elements if element is not msgspec.UNSET]


@cache
def _slots(count: int) -> Callable[[Raw], msgspec.Struct]:
    slots = [(f"task{number}", Raw, msgspec.UNSET) for number in range(count)]
    return msgspec.json.Decoder(msgspec.defstruct("Slots", slots, array_like=True)).decode
