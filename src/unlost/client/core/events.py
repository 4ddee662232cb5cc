"""A stream of server-sent events, and when a broken one is opened again: pure but for the clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from unlost.client.core.answers import refusal, stays
from unlost.client.core.retrying import Retries
from unlost.client.core.wire import NoAnswer, Pause, Reply
from unlost.client.errors import UnlostError
from unlost.client.values import Lagged, TaskEvent

_END = re.compile(rb"\r\n|\n|\r(?!\n|\Z)")
_ENDED: Final = NoAnswer("the stream has ended")


class Lines:
    """Bytes to lines, however they are cut."""

    def __init__(self) -> None:
        self._rest = b""

    def fed(self, data: bytes) -> list[bytes]:
        """The lines that are complete by now."""
        *lines, self._rest = _END.split(self._rest + data)
        return lines


class Parser:
    """Bytes to events (HTML Standard, 9.2), of which others than the service's are passed over."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._name, self._data = b"", b""

    def fed(self, data: bytes) -> Iterator[TaskEvent | Lagged]:
        """The events that are complete by now.  Raises UnlostError."""
        for line in self._lines.fed(data):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if not line:
                yield from self._event()
            elif field == b"event":
                self._name = value
            elif field == b"data":
                self._data += value + b"\n"

    def _event(self) -> Iterator[TaskEvent | Lagged]:
        name, data, self._name, self._data = self._name, self._data, b"", b""
        kinds: dict[bytes, type[TaskEvent | Lagged]] = {b"task": TaskEvent, b"lagged": Lagged}
        if data and name in kinds:
            try:
                yield msgspec.json.decode(data, type=kinds[name])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                what = f"this is not an event of an unlost service ({error})"
                raise UnlostError(what) from None


class Following:
    """Follows a stream, over as many connections as it takes."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._parser = Parser()
        self._tries, self._since = 0, retries.now()
        self._missed = False
        self._last: Reply = _ENDED

    def took(self, part: bytes | Reply) -> Iterable[TaskEvent | Lagged]:
        """The events in what came; the first thing that comes after a break is Lagged.

        Raises UnlostError.
        """
        if not isinstance(part, bytes):
            self._last = part
            return
        if self._missed:
            self._missed = False
            yield Lagged()
        self._tries = 0
        yield from self._parser.fed(part)

    def pause(self) -> Pause:
        """The pause before the stream is opened again.  Raises what a call does."""
        if stays(self._last):
            raise refusal(self._last)
        if not self._tries:
            self._since = self._retries.now()
        self._tries += 1
        pause = self._retries.pause(self._tries, self._since, self._last)
        self._parser, self._missed, self._last = Parser(), True, _ENDED
        return pause
