"""The payloads of a batch while it waits for its chunks: none takes more than its bytes.

Python keeps a text of which a single character is beyond Latin-1 in two or four bytes for each of
all its characters, so that a batch would take four times what its client has sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from unlost.task import Submission

SHORT: Final = 1_024
"""Characters of a payload that is kept as it is: ten thousand of these take little."""

CHUNK: Final = 1_000
"""Tasks in one step of the ledger."""

HEAVIEST: Final = 1024 * 1024
"""Bytes of their payloads, beyond which it has no further task."""

Item = tuple[int, Submission]
"""A task, and its place in the batch."""


class Narrow:
    """The payloads that are kept as bytes, by the places of their tasks."""

    def __init__(self) -> None:
        self._texts: dict[int, bytes] = {}

    def keep(self, place: int, new: Submission) -> Item:
        """The task as it waits."""
        if len(new.payload) <= SHORT or new.payload.isascii():
            return place, new
        self._texts[place] = new.payload.encode()
        return place, replace(new, payload="")

    def whole(self, items: Sequence[Item]) -> list[Submission]:
        """Tasks that wait no longer."""
        texts = self._texts
        return [
            replace(new, payload=texts.pop(place).decode()) if place in texts else new
            for place, new in items
        ]

    def chunks(self, items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
        """The tasks in as many as go in one step, of a batch of this size in bytes."""
        if size <= HEAVIEST:
            yield from (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
            return
        start = weight = 0
        for end, (place, new) in enumerate(items):
            one = len(self._texts.get(place, new.payload))
            if end - start == CHUNK or (end > start and weight + one > HEAVIEST):
                yield items[start:end]
                start, weight = end, 0
            weight += one
        if start < len(items):
            yield items[start:]
