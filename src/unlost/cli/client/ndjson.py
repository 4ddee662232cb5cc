"""From a stream of lines to batches of tasks, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from select import select
from typing import Protocol

import msgspec

from unlost.jsontext import digest, parse

CHUNK = 256 * 1024
LONGEST_LINE = 1024 * 1024
"""Bytes.  No task may be half as long, so the rest of a longer line is not even kept."""

BLANK = b" \t\r\n"


class Source(Protocol):
    """Where bytes come from: a read gives what there is, at least one byte, or the end."""

    def read(self, size: int, /) -> bytes | None: ...

    def fileno(self) -> int: ...


def idle(source: Source) -> bool:
    """Whether the source has had nothing for a moment (never so for a regular file)."""
    return not select([source], [], [], 0.05)[0]


@dataclass(frozen=True, slots=True)
class Line:
    """One line.  `text` is None where it was too long; `read` is how far the source was read."""

    number: int
    text: bytes | None
    read: int


class Pause:
    """The source has nothing more just now: what was read should not wait for more."""


def lines(source: Source, idle: Callable[[], bool]) -> Iterator[Line | Pause]:
    """The lines that are not blank, and a Pause wherever the source is `idle` after a read."""
    number = total = 0
    rest = b""
    while chunk := source.read(CHUNK):
        total += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        for number, text in enumerate(whole, number + 1):  # noqa: B020  it goes on counting
            if text.strip(BLANK):
                yield Line(number, text if len(text) <= LONGEST_LINE else None, total)
        rest = rest[: LONGEST_LINE + 1]
        if idle():
            yield Pause()
    if rest.strip(BLANK):
        yield Line(number + 1, rest if len(rest) <= LONGEST_LINE else None, total)


@dataclass(frozen=True, slots=True)
class Item:
    """A task as it will be sent.  `task_id` is None where only the service can tell it."""

    line: int
    task_id: str | None
    body: bytes
    read: int


class Counter(Protocol):
    """Counts how often it was asked about a key before."""

    def __call__(self, key: bytes, /) -> int: ...


class _Known(msgspec.Struct):
    taskId: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815  the contract's name


_known = msgspec.json.Decoder(_Known).decode


def item(line: int, text: bytes, read: int, options: bytes, seen: Counter) -> Item:
    """The task that a line stands for.

    An object with `taskId` is a task.  Anything else is a bare payload, whose id is made from its
    content and how often that stood above it, so that the same file always makes the same ids.
    `options` are members for bare payloads, as JSON text.  Raises NotJson.
    """
    if _names_itself(text):
        return Item(line, None, text, read)
    key = digest(parse(text), {})[:16]
    task_id = f"{key.hex()}-{seen(key)}"
    body = b'{"taskId":"%s",%s"payload":%s}' % (task_id.encode(), options, text.strip(BLANK))
    return Item(line, task_id, body, read)


def _names_itself(text: bytes) -> bool:
    """Whether it is an object with a taskId.  The service reads such ones strictly; no need to
    do so here."""
    try:
        return bool(_known(text).taskId)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def option_members(options: Mapping[str, object]) -> bytes:
    """Members for `item`, each followed by its comma; what is None is left out."""
    return b"".join(
        b"%s:%s," % (msgspec.json.encode(name), msgspec.json.encode(value))
        for name, value in options.items()
        if value is not None
    )


def batches(
    items: Iterable[Item | Pause], most: int = 1000, heaviest: int = 4_000_000
) -> Iterator[list[Item]]:
    """Batches of at most `most` items and `heaviest` bytes (one item may be heavier); a Pause ends
    a batch early."""
    batch: list[Item] = []
    weight = 0
    for found in items:
        full = isinstance(found, Item) and weight + len(found.body) >= heaviest
        if batch and (full or len(batch) >= most or isinstance(found, Pause)):
            yield batch
            batch, weight = [], 0
        if isinstance(found, Item):
            batch.append(found)
            weight += len(found.body) + 1
    if batch:
        yield batch
