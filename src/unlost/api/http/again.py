"""Requests whose head came before: what was found about it holds again, and only the body is new.

A client that submits one task after the other sends the same head each time.  Once a request with
that head went the regular way to its answer, one with the very same bytes before its body, from the
same address, is given straight to what carries it out: no parser, no request, no response.
Whatever is not as usual goes the regular way: the endpoint then finds in its scope what was done.

So whatever a call has to pass before its endpoint may depend on its head and its peer alone, and
what it is answered with on nothing else; where that is not so, nothing is remembered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from unlost.api.http.connection.connection import Connection
from unlost.api.http.connection.connections import Connections
from unlost.api.http.connection.wide import is_wide
from unlost.api.http.heads import EXTENSION, Again, Heads, Known, Outcome, Whole

LONGEST_HEAD: Final = 2_048
LONGEST_BODY: Final = 16_384


class _NoEvent:
    def set(self) -> None:
        """Nobody waits."""


class _Cycle:
    """A request that is carried out without a cycle of its own, as the connection sees it.

    `socket` is where its answer goes from another thread; none where it may not.
    """

    __slots__ = (
        "_connection", "_data", "disconnected", "keep_alive", "response_complete",
        "response_started", "sent", "socket", "then", "whole",
    )  # fmt: skip

    more_body = False
    message_event = _NoEvent()

    def __init__(self, connection: KnowingConnection, data: bytes, socket: int | None) -> None:
        self._connection = connection
        self._data = data
        self.socket = socket
        self.whole, self.sent = b"", 0  # the answer, and how many bytes of it were sent
        self.then: Callable[[], None] | None = None  # once it was answered from another thread
        self.disconnected = False
        self.keep_alive = True
        self.response_started = False
        self.response_complete = False

    def answer_at_once(self, answer: Whole, then: Callable[[], None]) -> bool:
        return self._connection.answer_at_once(self, answer, then)

    def go_on(self) -> None:
        """What comes behind an answer from another thread."""
        then, self.then = self.then, None
        if then is not None:
            then()

    def done(self, outcome: Outcome) -> None:
        self._connection.done(self, self._data, outcome)


class KnowingConnection(Connection):
    """A connection that knows the heads of requests that came before, on whichever connection."""

    _head = b""  # of the request that is being read, where it came whole and might come again
    _length = 0
    _outcome: Outcome | None = None
    _amid = False  # a request
    _quick: _Cycle | None = None
    _later: list[bytes]

    def __init__(self, heads: Heads, connections: Connections, **given: Any) -> None:
        super().__init__(connections, **given)
        self._heads = heads
        self._lines: tuple[object, bytes] = (None, b"")  # the server's own headers, joined

    def connection_lost(self, exc: Exception | None) -> None:
        if self._quick is not None:
            with self._connections.sending:  # from now on the socket may be another's
                self._quick.socket = None
            self._quick.go_on()
        super().connection_lost(exc)
        cycle: object = self.cycle
        if isinstance(cycle, _Cycle):
            self.cycle = None  # type: ignore[assignment]  # it holds this, too

    def shutdown(self) -> None:
        if self._quick is not None:
            with self._connections.sending:  # an answer says that the connection ends
                self._quick.keep_alive = self._quick.then is not None
            self._quick.go_on()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self._quick is not None and self._comes_meanwhile(data):
            return
        self._head = b""
        if not self._amid and data.startswith(b"POST "):
            end = data.find(b"\r\n\r\n", 0, LONGEST_HEAD) + 4
            head, length = sha256(data[:end]).digest(), len(data) - end
            known = self._heads.get(head)
            if known is not None and self._fits(known, length) and self._begin(known, data, end):
                return
            if end > 4 and 0 < length <= LONGEST_BODY:
                self._head, self._length = head, length
        super().data_received(data)

    def _comes_meanwhile(self, data: bytes) -> bool:
        """Keep this for later, where an answer comes before it."""
        quick = self._quick
        assert quick is not None  # noqa: S101
        with self._connections.sending:
            if quick.then is None:
                self._later.append(data)
        if quick.then is not None:
            quick.go_on()
            return False
        self.flow.pause_reading()
        if not self._room.take(self, len(data)):
            self.transport.close()  # as with what comes ahead of any other answer
        return True

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else ""

    def _fits(self, known: Known, length: int) -> bool:
        return known.length == length and known.peer == self._peer

    def _begin(self, known: Known, data: bytes, end: int) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        if (
            (cycle is not None and not cycle.response_complete)
            or self._refused is not None
            or self.flow.write_paused
            or self.transport.is_closing()
            or not self._has_place
            or is_wide(data)
        ):
            return False
        clear = not self.transport.get_write_buffer_size()
        quick = _Cycle(self, data, self._socket if clear else None)
        if not self._room.take(quick, known.length):
            return False
        self._later, self._length = [], known.length
        self.cycle = self._quick = quick  # type: ignore[assignment]
        self._unset_keepalive_if_required()
        self._connections.busy(self)
        work = known.call(data[end:], quick)  # last: it wakes who needs the interpreter then
        if work is False:
            self.cycle, self._quick = cycle, None  # type: ignore[assignment]
            self._room.give_back(quick)
            return False
        if work is not True:
            task = self.loop.create_task(self._carry_out(quick, work))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return True

    @cached_property
    def _socket(self) -> int:
        """The connection's descriptor."""
        return int(self.transport.get_extra_info("socket").fileno())

    async def _carry_out(self, quick: _Cycle, work: Coroutine[Any, Any, Outcome]) -> None:
        try:
            outcome = await work
        except BaseException:
            self._room.give_back(quick)
            raise
        quick.done(outcome)

    def answer_at_once(self, quick: _Cycle, answer: Whole, then: Callable[[], None]) -> bool:
        """Send an answer from another thread, where the connection is as usual.

        The event loop is not woken for it: the next request of the client will, or the next tick.
        """
        connections = self._connections
        with connections.sending:
            if quick.socket is None or not quick.keep_alive or not connections.open:
                return False
            quick.whole = self._whole(quick, answer)
            with suppress(OSError):  # the event loop finds out
                quick.sent = os.write(quick.socket, quick.whole)
            if quick.sent < len(quick.whole) or self._later:
                return False
            quick.then = then
        connections.answered_elsewhere.append((self, quick.go_on))
        return True

    def done(self, quick: _Cycle, data: bytes, outcome: Outcome) -> None:
        """Go on behind a request of which this was made."""
        if isinstance(outcome, Whole):
            if not quick.sent:  # it may say now that the connection ends
                quick.whole = self._whole(quick, outcome)
            self._end(quick)
            return
        self._leave(quick)
        if not quick.disconnected:
            quick.response_started = quick.response_complete = True
            self._outcome = outcome
            super().data_received(data)
            if not quick.keep_alive:  # the service stops
                self.cycle.keep_alive = False
            self._outcome = None
            self._go_on()

    def _end(self, quick: _Cycle) -> None:
        """Send what is left of an answer, and go on."""
        self._leave(quick)
        if quick.disconnected:
            return
        quick.response_started = quick.response_complete = True
        if quick.sent < len(quick.whole):
            self.transport.write(quick.whole[quick.sent :])
        if not quick.keep_alive:
            self.transport.close()
        self.on_response_complete()
        self._go_on()

    def _leave(self, quick: _Cycle) -> None:
        self._quick = None
        self._room.give_back(quick)

    def _go_on(self) -> None:
        """Read what came meanwhile."""
        if not self._later:
            return
        self._room.give_back(self)
        for more in self._later:
            if not self.transport.is_closing():
                self.data_received(more)

    def _whole(self, quick: _Cycle, answer: Whole) -> bytes:
        own = self.server_state.default_headers
        if self._lines[0] is not own:
            self._lines = own, b"".join(b"%b: %b\r\n" % line for line in own)
        last = b"\r\n" if quick.keep_alive else b"connection: close\r\n\r\n"
        status, headers, body = answer
        return b"".join((STATUS_LINE[status], self._lines[1], headers, last, body))

    def on_message_begin(self) -> None:
        self._amid = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._amid = False
        super().on_message_complete()
        if self.parser.should_upgrade():
            self._head = b""
        elif (self._head or self._outcome is not None) and self._may_come_again(self.scope):
            again = Again(self._heads, self._peer, self._head, self._length, self._outcome)
            self.scope["extensions"] = {EXTENSION: again}  # type: ignore[dict-item]
        self._head = b""  # of another request in the same piece nothing is known

    def _may_come_again(self, scope: HTTPScope) -> bool:
        """Whether another request with the same head would be read the same."""
        if self.pipeline or not self.cycle.keep_alive or self.expect_100_continue:
            return False
        told = [value for name, value in self.headers if name == b"content-length"]
        return told == [b"%d" % self._length] and scope["http_version"] == "1.1"
