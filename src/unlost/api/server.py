"""Serving the app over HTTP on a socket that is already bound."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket
from typing import Final

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from unlost.api.app import App
from unlost.api.problems import HeadTooLarge, NotHttp, Problem, render

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a request's head, or of anything else of it that is no body."""

KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept; longer than most clients keep theirs."""

FINISH_WITHIN: Final = 10
"""Seconds that calls under way get when the service stops."""

LINGER: Final = 2.0
"""Seconds in which a client that was refused may read why."""

_UPGRADING: Final = frozenset({b"connection", b"upgrade", b"http2-settings"})


async def serve(
    app: App, listener: socket, on_ready: Callable[[], None], stop: asyncio.Event | None = None
) -> None:
    """Answer calls on `listener` until `stop` is set (or, without one, until SIGTERM).

    `on_ready` is called once calls are answered.  On the way out nothing new is accepted and
    what is under way is finished; `listener` is closed.
    """
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=FINISH_WITHIN,
    )
    server = _Server(config, app, on_ready)
    if stop is None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
        await server.serve([listener])
        return
    stopping = asyncio.create_task(stop.wait())
    stopping.add_done_callback(lambda _: server.stop())
    try:
        await server.serve([listener])
    finally:
        stopping.cancel()


class _Server(uvicorn.Server):
    """Says when it is ready, lets go those who wait when it stops, and leaves signals alone."""

    def __init__(self, config: uvicorn.Config, app: App, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready

    def stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        self._app.let_go()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 as the app needs it: heads are bounded, offers to upgrade are passed over (with
    them, httptools would drop the body), and what is no HTTP gets a problem document too."""

    _without_body = 0
    _refused = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._without_body += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(NotHttp("the request is not HTTP/1.1"))
        else:
            if self._without_body > HEAD_LIMIT:
                self._refuse(HeadTooLarge(f"a request's head is at most {HEAD_LIMIT} bytes"))

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

    def on_headers_complete(self) -> None:
        self._without_body = 0
        if self.parser.should_upgrade():
            self.scope["method"] = self.parser.get_method().decode("ascii")
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._without_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._without_body = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _refuse(self, problem: Problem) -> None:
        """Answer in place of the app, then read no more.

        The connection stays half open for a moment, since closing it over what the client still
        sends would take the answer from it.
        """
        self._refused = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or self._amid_body(cycle):
            answer = render(problem)
            lines = [STATUS_LINE[answer.status_code]]
            for name, value in [*self.server_state.default_headers, *answer.raw_headers]:
                lines.append(b"%b: %b\r\n" % (name, value))
            self.transport.write(b"".join([*lines, b"connection: close\r\n\r\n", answer.body]))
        self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.close)

    def _amid_body(self, cycle: RequestResponseCycle) -> bool:
        """Whether it is this call's own body that is refused; the app then sees nobody there."""
        if not cycle.more_body or cycle.response_started:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        return True
