"""Requests whose head came before: what was found about it holds again, and only the body is new.

A client that submits one task after the other sends the same head each time.  Once a request with
that head went the regular way to its answer, one with the very same bytes before its body, from the
same address, is given straight to what carries it out: no parser, no request, no response.
Whatever is not as usual goes the regular way: the endpoint then finds in its scope what was done.

So whatever a call has to pass before its endpoint may depend on its head and its peer alone, and
what it is answered with on nothing else; where that is not so, nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Coroutine
from hashlib import sha256
from typing import Any, Final

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from unlost.api.http.connection import Connection
from unlost.api.http.connections import Connections
from unlost.api.http.heads import EXTENSION, Again, Heads, Known, Outcome, Whole

LONGEST_HEAD: Final = 2_048
LONGEST_BODY: Final = 16_384


class _NoEvent:
    def set(self) -> None:
        """Nobody waits."""


class _Cycle:
    """A request that is carried out without a cycle of its own, as the connection sees it."""

    __slots__ = ("disconnected", "keep_alive", "response_complete", "response_started")

    more_body = False
    message_event = _NoEvent()

    def __init__(self) -> None:
        self.disconnected = False
        self.keep_alive = True
        self.response_started = False
        self.response_complete = False


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

    def data_received(self, data: bytes) -> None:
        if self._quick is not None:  # its answer comes first
            self.flow.pause_reading()
            if not self._room.take(self, len(data)):
                self.transport.close()  # as with what comes ahead of any other answer
                return
            self._later.append(data)
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
        ):
            return False
        quick = _Cycle()
        if not self._room.take(quick, known.length):
            return False
        work = known.call(data[end:])
        if work is None:
            self._room.give_back(quick)
            return False
        self._unset_keepalive_if_required()
        self._connections.busy(self)
        self._later = []
        self.cycle = self._quick = quick  # type: ignore[assignment]
        self._length = known.length
        task = self.loop.create_task(self._carry_out(quick, work, data))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return True

    async def _carry_out(
        self, quick: _Cycle, work: Coroutine[Any, Any, Outcome], data: bytes
    ) -> None:
        try:
            outcome = await work
        finally:
            self._room.give_back(quick)
        self._quick = None
        if quick.disconnected:
            return
        quick.response_started = quick.response_complete = True
        if isinstance(outcome, Whole):
            self._answer(quick, outcome)
        else:
            self._outcome = outcome
            super().data_received(data)
            if not quick.keep_alive:  # the service stops
                self.cycle.keep_alive = False
            self._outcome = None
        self._room.give_back(self)
        for more in self._later:
            if not self.transport.is_closing():
                self.data_received(more)

    def _answer(self, quick: _Cycle, answer: Whole) -> None:
        own = self.server_state.default_headers
        if self._lines[0] is not own:
            self._lines = own, b"".join(b"%b: %b\r\n" % line for line in own)
        last = b"\r\n" if quick.keep_alive else b"connection: close\r\n\r\n"
        status, headers, body = answer
        whole = (STATUS_LINE[status], self._lines[1], headers, last, body)
        self.transport.write(b"".join(whole))
        if not quick.keep_alive:
            self.transport.close()
        self.on_response_complete()

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
