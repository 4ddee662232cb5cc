"""Serving the app over HTTP on a socket that is already bound."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_SNDBUF, SOL_SOCKET
from typing import Final, cast

import uvicorn

from unlost.api.app import App
from unlost.api.http.again import KnowingConnection
from unlost.api.http.connection.connections import Connections

KEEP_ALIVE: Final = 130.0
"""Seconds that a connection is kept without a whole head of a request; longer than proxies keep
theirs idle, which would else send a call into one that is just being closed."""

FINISH_WITHIN: Final = 10
"""Seconds that calls under way get when the service stops."""

SENT_AHEAD: Final = 128 * 1024
"""Bytes of answers that the system takes of us for a connection before its client reads them (Linux
takes twice as many, and without a bound megabytes of each)."""

NOT_ON_ITS_WAY: Final = 32 * 1024
"""Bytes of these that may wait for their client to take what is on its way already (Linux, macOS):
who does not read costs little more than what fits in its own system's room."""

COLLECT_AFTER: Final = 20_000
"""Objects made, less those given back, after which the collector looks at the new ones."""


async def serve(
    app: App,
    listener: socket.socket,
    on_ready: Callable[[], None],
    stop: asyncio.Event | None = None,
    *,
    keep_alive: float | None = None,
    connections: Connections | None = None,
) -> None:
    """Answer calls on `listener` until `stop` is set (or, without one, until SIGTERM).

    A connection without calls is kept `keep_alive` seconds, KEEP_ALIVE if not given.

    `on_ready` is called once calls are answered.  On the way out nothing new is accepted and
    what is under way is finished; `listener` is closed.
    """
    connections = connections or Connections()
    connections.refuse = app.refuse
    listener.setsockopt(SOL_SOCKET, SO_SNDBUF, SENT_AHEAD)  # of each that it accepts
    if listener.family in {AF_INET, AF_INET6} and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_ON_ITS_WAY)
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(KnowingConnection, {}, connections)),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE if keep_alive is None else keep_alive,  # type: ignore[arg-type]
        timeout_graceful_shutdown=FINISH_WITHIN,
    )
    server = _Server(config, app, on_ready)
    aside = [asyncio.create_task(_stop(server, stop)), asyncio.create_task(connections.run())]
    try:
        with _collecting_rarely():
            await server.serve([listener])
    finally:
        connections.close()
        for task in aside:
            task.cancel()


async def _stop(server: _Server, stop: asyncio.Event | None) -> None:
    if stop is None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.should_exit = True


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Look for reference rings less often: calls leave none, and looking costs a tenth of one."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class _Server(uvicorn.Server):
    """Says when it is ready, lets go those who wait when it stops, and leaves signals alone."""

    def __init__(self, config: uvicorn.Config, app: App, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.let_go()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
