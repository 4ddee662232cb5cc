"""A connection: HTTP/1.1 as uvicorn and httptools speak it, and what the app needs beyond that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import httptools
from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Scope,
)
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from unlost.api.problems import (
    RETRY_AFTER,
    HeadTooLarge,
    LineTooLong,
    NotHttp,
    Problem,
    Unavailable,
    render,
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

_UPGRADING: Final = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Connection(HttpToolsProtocol):
    """HTTP/1.1 as the app needs it: heads are bounded in size and in the time they take, offers
    to upgrade are passed over (with them, httptools would drop the body), and what is no HTTP
    gets a problem document too."""

    _without_body = 0
    _of_headers = 0
    _too_much: Problem | None = None
    _refused: Problem | None = None
    _draining: asyncio.TimerHandle | None = None
    _last = False  # the call under way is, though the connection is still open

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        if self._refused is not None:
            return
        self._without_body += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if self._last:
                self.transport.close()
                return
            self._refuse(self._too_much or NotHttp("the request is not HTTP/1.1"))
        else:
            if self._without_body > HEAD_LIMIT + len(self.url):
                self._refuse(_HEADERS)

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
            self.transport.abort()
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
        self._unset_keepalive_if_required()
        if self.parser.should_upgrade():
            self.scope["method"] = self.parser.get_method().decode("ascii")
        else:
            super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        async def run(scope: Scope, receive: ASGIReceiveCallable, _: ASGISendCallable) -> None:
            await app(scope, receive, _Joined(cycle, self.last))
            if cycle.response_started and not cycle.response_complete:  # the app has given it up
                cycle.disconnected = True
                cycle.transport.abort()

        super()._start_asgi_task(cycle, run)

    def on_body(self, body: bytes) -> None:
        self._without_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._without_body = 0
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
        answer = render(problem)
        lines = [STATUS_LINE[answer.status_code]]
        for name, value in [*self.server_state.default_headers, *answer.raw_headers]:
            lines.append(b"%b: %b\r\n" % (name, value))
        self.transport.write(b"".join([*lines, b"connection: close\r\n\r\n", answer.body]))
        self.transport.write_eof()
        linger = LAST_PATIENCE if problem is _LEAVING else LINGER
        self.loop.call_later(linger, self.transport.close)


_LINE: Final = LineTooLong(f"a request line is at most {LINE_LIMIT} bytes")
_LEAVING: Final = Unavailable("the service stops; try again", headers=RETRY_AFTER)
_HEADERS: Final = HeadTooLarge(f"a request's headers are at most {HEAD_LIMIT} bytes")


class _Joined:
    """Sends an answer that is whole when it begins in one write; any other as uvicorn does.

    Head and body apart are two system calls, which cost as much as all the rest of a submit.  An
    answer before the end of a body does not close the connection, but tells `last`.
    """

    __slots__ = ("_cycle", "_last", "_send", "_start")

    def __init__(self, cycle: RequestResponseCycle, last: Callable[[], None]) -> None:
        self._cycle = cycle
        self._last = last
        self._send = cycle.send
        self._start: HTTPResponseStartEvent | None = None

    async def __call__(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            if message["type"] == "http.response.body" and self._whole(start, message):
                return
            await self._send(start)
        cycle = self._cycle
        ends = message["type"] == "http.response.body" and not message.get("more_body")
        if ends and cycle.more_body and not (cycle.keep_alive or cycle.disconnected):
            self._last()
            cycle.keep_alive = True  # its end is the connection's to say
        await self._send(message)

    def _whole(self, start: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bool:
        """Write the answer if that is simple; whether it was."""
        cycle = self._cycle
        if (
            message.get("more_body")
            or not cycle.keep_alive
            or cycle.disconnected
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        body = message.get("body", b"")
        headers = [*cycle.default_headers, *start.get("headers", ())]
        if (b"content-length", b"%d" % len(body)) not in headers:
            return False
        lines = [b"%b: %b\r\n" % header for header in headers]
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(b"".join([STATUS_LINE[start["status"]], *lines, b"\r\n", body]))
        cycle.message_event.set()
        cycle.on_response()
        return True
