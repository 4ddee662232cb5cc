"""A connection: HTTP/1.1 as uvicorn and httptools speak it, and what the app needs beyond that."""

from __future__ import annotations

import asyncio
from typing import Final

import httptools
from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    Scope,
)
from uvicorn.protocols.http.httptools_impl import (
    RequestResponseCycle,
)

from unlost.api.http.connection.ending import NO_ROOM, Ending, Flow
from unlost.api.http.connection.joined import Joined
from unlost.api.http.connection.wide import SMALL
from unlost.api.problems import (
    RETRY_AFTER,
    HeadTooLarge,
    LineTooLong,
    NotHttp,
    Problem,
    Unavailable,
)

LINE_LIMIT: Final = 32 * 1024
"""Bytes of a request line."""

HEAD_LIMIT: Final = 32 * 1024
"""Bytes of a request's headers, or of anything else of it that is neither line nor body."""

DRAINED: Final = 5.0
"""Seconds in which the rest of a body that was answered before its end is read and thrown away: a
client or a proxy that still sends would else lose the answer."""

MOST_AHEAD: Final = 64 * 1024
"""Bytes sent ahead of their turn with which a connection is read on, to see whether it ends."""

LARGE: Final = 64 * 1024
"""Bytes of a body that takes a millisecond or more to look at: a hundred that are there at one
moment are looked at one by one, and what comes alone is answered between them."""

HEAD_END: Final = b"\r\n\r\n"

_UPGRADING: Final = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Connection(Ending):
    """HTTP/1.1 as the app needs it: heads are bounded in size and in the time they take, bodies in
    how slow they may be and in what all of them take, offers to upgrade are passed over (with
    them, httptools would drop the body), and what is no HTTP gets a problem document too."""

    url = b""  # of the request that is read; the parser passes over empty lines before it
    _without_body = 0
    _of_headers = 0
    _too_much: Problem | None = None
    _last = False  # the call under way is, though the connection is still open
    _has_place = True
    _ahead = b""  # what came behind a call that waits for its turn
    _held_up_at = 0  # the tick
    _next_ahead = False  # the call that is begun was sent ahead

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
        self._unset_keepalive_if_required()  # it would hold this until it is over

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
            else:
                if self._patience.in_body and not self.cycle.response_complete:
                    self._room.read_on(self.cycle, self)
                    self._connections.waits_for_body(self)
                if self._patience.drips() and not self.flow.read_paused:
                    self._read_in_turn()

    def _read_in_turn(self) -> None:
        self._turn_awaited = self._connections.now
        self.flow.drips = True
        self.flow.pause_reading()
        self._connections.drips.wait(self)

    def read_on(self) -> None:
        """It is this connection's turn to be read."""
        self.flow.drips = False
        self._turn_came = self._connections.now
        if not self.transport.is_closing():
            self.flow.resume_reading()

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
            self._refuse(NO_ROOM)
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

    def hold_up(self) -> None:
        """Read no further, since there is no room."""
        self._held_up_at = self._connections.now
        self.flow.held_up = True
        self.flow.pause_reading()

    def go_on(self) -> None:
        """Read on."""
        now = self._turn_came = self._connections.now
        if not self.flow.drips:
            self._turn_awaited = now
        self._connections.was_held_up(self, now - self._held_up_at)
        self.flow.held_up = False
        if not self.transport.is_closing():
            self.flow.resume_reading()

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
            if self.expect_100_continue and self.parser.get_http_version() == "1.0":
                self.expect_100_continue = False  # to such a client `100` would be the answer
            self._patience.body_begins()
            self._connections.busy(self)
            super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if not self._has_place:
            app = self._in_place(cycle, app)
        ahead = self._next_ahead

        async def run(scope: Scope, receive: ASGIReceiveCallable, _: ASGISendCallable) -> None:
            wide = None
            if cycle.more_body or len(cycle.body) > SMALL:
                wide = self._connections.wide_bodies.of(receive)
                receive = wide.receive
            try:
                if ahead or len(cycle.body) > LARGE:
                    await self._connections.turn()
                elif cycle.more_body:
                    receive = self._large_in_turn(receive)
                await app(scope, receive, Joined(cycle, self.last))
                if wide is not None:  # its body is no small one
                    await self.until_read()
            finally:
                if wide is not None:
                    wide.end()
                self._room.give_back(cycle)
            if cycle.response_started and not cycle.response_complete:  # the app has given it up
                cycle.disconnected = True
                cycle.transport.abort()

        self._under_way = cycle
        super()._start_asgi_task(cycle, run)

    def _in_place(self, cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
        """The app, if there is a place by now; else what says that there is none."""
        self._has_place = not self._connections.too_many
        if self._has_place:
            return app
        cycle.keep_alive = False
        return app if cycle.scope["path"] in self._connections.alive else self._no_place

    def _large_in_turn(self, receive: ASGIReceiveCallable) -> ASGIReceiveCallable:
        """What receives a body, and waits for a turn at its end where it is large."""
        size = 0

        async def received() -> ASGIReceiveEvent:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message["body"])
                if size > LARGE and not message["more_body"]:
                    size = 0
                    await self._connections.turn()
            return message

        return received

    async def _no_place(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await self._connections.refuse(_NO_PLACE)(scope, receive, send)  # type: ignore[arg-type]

    def on_body(self, body: bytes) -> None:
        self._without_body = 0
        if not self.cycle.response_complete and not self._room.take(self.cycle, len(body)):
            self._stop_at(NO_ROOM)
        self._patience.came(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._without_body = 0
        self._patience.body_ends()
        self._connections.has_body(self)
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
        self._next_ahead = not was_last
        super().on_response_complete()
        self._next_ahead = False
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


_LINE: Final = LineTooLong(f"a request line is at most {LINE_LIMIT} bytes")
_NO_PLACE: Final = Unavailable("too many connections; try again", headers=RETRY_AFTER)
_HEADERS: Final = HeadTooLarge(f"a request's headers are at most {HEAD_LIMIT} bytes")
