"""A connection: HTTP/1.1 as uvicorn and httptools speak it, and what the app needs beyond that."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools
from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    Scope,
)
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from unlost.api.http.connections import Connections
from unlost.api.http.joined import Joined
from unlost.api.http.patience import HEAD_WITHIN, OVER, SLOWEST, Overdue, Patience
from unlost.api.problems import (
    RETRY_AFTER,
    HeadTooLarge,
    LineTooLong,
    NotHttp,
    Problem,
    TooSlow,
    Unavailable,
)

LINE_LIMIT: Final = 32 * 1024
"""Bytes of a request line."""

HEAD_LIMIT: Final = 32 * 1024
"""Bytes of a request's headers, or of anything else of it that is neither line nor body."""

LINGER: Final = 2.0
"""Seconds in which a client that was refused may read why."""

LAST_PATIENCE: Final = 0.5
"""Seconds that a client gets, once the service stops, to send the rest of a body, and then again to
read what it is answered: only a client can end these."""

DRAINED: Final = 5.0
"""Seconds in which the rest of a body that was answered before its end is read and thrown away: a
client or a proxy that still sends would else lose the answer."""

MOST_AHEAD: Final = 64 * 1024
"""Bytes sent ahead of their turn with which a connection is read on, to see whether it ends."""

HEAD_END: Final = b"\r\n\r\n"

_UPGRADING: Final = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Flow(FlowControl):
    """Reads no further while it is held up, or `ahead`: much is there that waits for its turn.
    Whatever the app asks for."""

    held_up = False
    ahead = False

    def resume_reading(self) -> None:
        if not (self.held_up or self.ahead):
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """HTTP/1.1 as the app needs it: heads are bounded in size and in the time they take, bodies in
    how slow they may be and in what all of them take, offers to upgrade are passed over (with
    them, httptools would drop the body), and what is no HTTP gets a problem document too."""

    url = b""  # of the request that is read; the parser passes over empty lines before it
    _without_body = 0
    _of_headers = 0
    _too_much: Problem | None = None
    _refused: Problem | None = None
    _draining: asyncio.TimerHandle | None = None
    _last = False  # the call under way is, though the connection is still open
    _has_place = True
    _under_way: RequestResponseCycle | None = None  # the call that is carried out
    _ahead = b""  # what came behind a call that waits for its turn
    flow: Flow

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        self._room = connections.room
        self._patience = Patience()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport)
        self._has_place = self._connections.enter(self)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self)
        for cycle, _ in self.pipeline:
            self._room.give_back(cycle)
        self._room.give_back(self)
        self._forget_call()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused is not None:
            return
        if self._ahead:
            self._keep(self._ahead + data)
            return
        self._without_body += len(data)
        try:
            self._feed_in_turn(data)
        except httptools.HttpParserError:
            if self._last:
                self.transport.close()
                return
            self._refuse(self._too_much or NotHttp("the request is not HTTP/1.1"))
        else:
            if self._without_body > HEAD_LIMIT + len(self.url):
                self._refuse(_HEADERS)
            elif self._patience.in_body and not self.cycle.response_complete:
                self._room.read_on(self.cycle, self)

    def _feed_in_turn(self, data: bytes) -> None:
        """Feed the parser, but no further than a call that has to wait for its turn: each takes
        a hundred times the bytes that may ask for it."""
        start, end = 0, data.find(HEAD_END)
        while end >= 0:
            after = data.find(HEAD_END, end + len(HEAD_END))
            if after < 0:
                break
            end += len(HEAD_END)
            self._feed(data[start:end])
            start, end = end, after
            if self.pipeline:
                self._keep(data[start:])
                return
        self._feed(data[start:])

    def _keep(self, ahead: bytes) -> None:
        """Keep what was sent ahead until those before it are answered."""
        self._room.give_back(self)
        if not self._room.take(self, len(ahead)):
            self._ahead, self.flow.ahead = b"", False
            self._refuse(_NO_ROOM)
            return
        self._ahead, self.flow.ahead = ahead, len(ahead) >= MOST_AHEAD
        self.flow.pause_reading()

    def _go_ahead(self) -> None:
        """Read on in what was sent ahead."""
        ahead, self._ahead, self.flow.ahead = self._ahead, b"", False
        self._room.give_back(self)
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(ahead)

    def _forget_call(self) -> None:
        """Have the call that is carried out see that nobody is there, also where others were sent
        behind it: uvicorn tells only the last one, and no transport may be written to any more."""
        if self._under_way is not None:
            self._under_way.disconnected = True
            self._under_way.message_event.set()

    def _abort(self) -> None:
        self._forget_call()
        self.transport.abort()

    def second(self) -> None:
        """A second has passed: nobody may be slow for long."""
        unread, flow = self.transport.get_write_buffer_size(), self.flow
        overdue = self._patience.second(unread, paused=flow.read_paused, no_room=flow.held_up)
        if overdue is None or (self._refused is not None and overdue is not Overdue.READING):
            return
        cycle: RequestResponseCycle | None = self.cycle
        amid_answer = cycle is not None and cycle.response_started
        if overdue is Overdue.READING or (overdue is Overdue.BODY and amid_answer):
            self._abort()
        elif not self.transport.is_closing():
            self._refuse(_OVERDUE[overdue])

    def close_idle(self) -> None:
        """Close, since others come and nothing is under way here."""
        if self.transport.is_closing():
            self._abort()
        else:
            self.transport.close()

    def hold_up(self) -> None:
        """Read no further, since there is no room."""
        self.flow.held_up = True
        self.flow.pause_reading()

    def go_on(self) -> None:
        """Read on."""
        self.flow.held_up = False
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """The service stops: what is under way is answered, but no client is waited for."""
        if self._draining is None:
            super().shutdown()
        else:
            self.loop.call_later(LAST_PATIENCE, self.transport.close)
        self.loop.call_later(LAST_PATIENCE, self._ask_no_more)

    def _ask_no_more(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and cycle.more_body and not cycle.response_started:
            self._refuse(_LEAVING)
        self._see_off(-1)

    def _see_off(self, unread: int) -> None:
        """Cut the connection once its client reads no more of what it is sent; `unread` bytes
        waited for it at the last look."""
        waiting = self.transport.get_write_buffer_size()
        if waiting and waiting == unread:
            self._abort()
        elif waiting or not self.transport.is_closing():
            self.loop.call_later(LAST_PATIENCE, self._see_off, waiting)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self.scope["method"] == "CONNECT":
                raise httptools.HttpParserError from None
            head = b"%b %b HTTP/1.1\r\n" % (self.scope["method"].encode(), self.url)
            for name, value in self.headers:
                if name not in _UPGRADING:
                    head += b"%b: %b\r\n" % (name, value)
            self.parser = httptools.HttpRequestParser(self)
            self._feed(head + b"\r\n" + data[offer.args[0] :])

    def on_message_begin(self) -> None:
        if self._last:
            self._stop_at(_HEADERS)
        self._of_headers = 0
        self._patience.head_begins()
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        # Around it stand the method, two spaces and the version.
        if len(self.url) + len(self.parser.get_method()) + len("  HTTP/1.1") > LINE_LIMIT:
            self._stop_at(_LINE)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._of_headers += len(name) + len(value) + len(": \r\n")
        if self._of_headers > HEAD_LIMIT:
            self._stop_at(_HEADERS)
        super().on_header(name, value)

    def _stop_at(self, problem: Problem) -> None:
        """Have the parser read no further."""
        self._too_much = problem
        raise ValueError(problem.detail)

    def on_headers_complete(self) -> None:
        self._without_body = 0
        if self.parser.should_upgrade():
            self.scope["method"] = self.parser.get_method().decode("ascii")
        else:
            self._patience.body_begins()
            self._connections.busy(self)
            super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if not self._has_place:
            self._has_place = not self._connections.too_many
            if not self._has_place:
                cycle.keep_alive = False
                if cycle.scope["path"] not in self._connections.alive:
                    app = self._no_place

        async def run(scope: Scope, receive: ASGIReceiveCallable, _: ASGISendCallable) -> None:
            try:
                await app(scope, receive, Joined(cycle, self.last))
            finally:
                self._room.give_back(cycle)
            if cycle.response_started and not cycle.response_complete:  # the app has given it up
                cycle.disconnected = True
                cycle.transport.abort()

        self._under_way = cycle
        super()._start_asgi_task(cycle, run)

    async def _no_place(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await self._connections.refuse(_NO_PLACE)(scope, receive, send)  # type: ignore[arg-type]

    def on_body(self, body: bytes) -> None:
        self._without_body = 0
        if not self.cycle.response_complete and not self._room.take(self.cycle, len(body)):
            self._stop_at(_NO_ROOM)
        self._patience.came(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._without_body = 0
        self._patience.body_ends()
        self._room.whole(self.cycle)
        if not self.parser.should_upgrade():
            super().on_message_complete()
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None
            if self._last:
                self.transport.close()

    def last(self) -> None:
        """The call under way is the connection's last, and is about to be answered before its body
        has ended."""
        self._last = True

    def on_response_complete(self) -> None:
        was_last = not self.pipeline
        super().on_response_complete()
        if was_last:
            self._connections.idle(self)
        if self._ahead and not self.pipeline:
            self._connections.go_ahead(self._go_ahead)
        cycle: RequestResponseCycle = self.cycle
        if cycle.response_complete and cycle.more_body and not self.transport.is_closing():
            self._draining = self.loop.call_later(DRAINED, self.transport.close)
            if self._last:
                self.transport.write_eof()
        if was_last and self._refused is not None:
            self._tell(self._refused)

    def _refuse(self, problem: Problem) -> None:
        """Read no more, and say why in place of the app, after the calls that came whole before."""
        self._refused = problem
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or self._amid_body(cycle):
            self._tell(problem)

    def _amid_body(self, cycle: RequestResponseCycle) -> bool:
        """Whether it is the body of the call whose turn it is that is refused; the app then sees
        nobody there.  A call that still waits for its turn is dropped."""
        if not cycle.more_body or cycle.response_started:
            return False
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            self._room.give_back(cycle)
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        return True

    def _tell(self, problem: Problem) -> None:
        """Refuse.

        The connection stays half open for a moment, since closing it over what the client still
        sends would take the answer from it.
        """
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        answer = self._connections.refuse(problem)
        lines = [STATUS_LINE[answer.status_code]]
        for name, value in [*self.server_state.default_headers, *answer.raw_headers]:
            lines.append(b"%b: %b\r\n" % (name, value))
        self.transport.write(b"".join([*lines, b"connection: close\r\n\r\n", answer.body]))
        self.transport.write_eof()
        self._connections.idle(self)
        linger = LAST_PATIENCE if problem is _LEAVING else LINGER
        self.loop.call_later(linger, self.transport.close)


_LINE: Final = LineTooLong(f"a request line is at most {LINE_LIMIT} bytes")
_NO_ROOM: Final = Unavailable("too many large bodies at once; try again", headers=RETRY_AFTER)
_OVERDUE: Final = {
    Overdue.HEAD: TooSlow(f"a request's headers take at most {HEAD_WITHIN} seconds"),
    Overdue.BODY: TooSlow(f"a body brings at least {SLOWEST} bytes a second over {OVER} seconds"),
    Overdue.ROOM: _NO_ROOM,
}
_NO_PLACE: Final = Unavailable("too many connections; try again", headers=RETRY_AFTER)
_LEAVING: Final = Unavailable("the service stops; try again", headers=RETRY_AFTER)
_HEADERS: Final = HeadTooLarge(f"a request's headers are at most {HEAD_LIMIT} bytes")
