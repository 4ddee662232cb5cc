"""The child that relays an outbox into the ledger of its own service."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from random import Random
from threading import Event

import httpx

from unlost.access.auth import Auth
from unlost.api.app import create_app
from unlost.api.frame import on_ledger
from unlost.ledger.opening import open_ledger
from unlost.outbox.opening import open_outbox
from unlost.outbox.relay import NotAnswered, Relay
from unlost.outbox.store import NoOutbox, OutboxUnavailable
from unlost.settings import WrongSetting
from unlost.supervisor.brief import Brief
from unlost.telemetry.logs import Log

PATIENCE = 60.0
"""Seconds for which a batch may take its time."""

log = Log("unlost.outbox")


async def relay(brief: Brief, ready: Callable[[], object]) -> None:
    """Relay until SIGTERM.  What is submitted goes the way of every call, without a socket.

    Raises WrongSetting where there is no outbox; a database that is away now is waited for.
    """
    settings = brief.settings.within
    outbox = open_outbox(settings.outbox)
    stop, loop = Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    ledger = await open_ledger(settings.ledger, same=brief.ledger_file)
    app = create_app(ledger, settings, auth=Auth.NONE, frame=on_ledger(settings.ledger))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")

    async def call(lines: bytes) -> tuple[int, bytes]:
        answer = await client.post("/tasks/batch", content=lines, headers=NDJSON)
        return answer.status_code, answer.content

    def post(lines: bytes) -> tuple[int, bytes]:
        try:
            return asyncio.run_coroutine_threadsafe(call(lines), loop).result(PATIENCE)
        except (httpx.HTTPError, TimeoutError) as error:
            raise NotAnswered(f"the ledger did not take it: {type(error).__name__}") from error

    try:
        await asyncio.to_thread(_check, outbox.check)
        ready()
        await asyncio.to_thread(Relay(outbox, post, Random()).run, stop)
    finally:
        await client.aclose()
        await ledger.close()


NDJSON = {"content-type": "application/x-ndjson"}


def _check(check: Callable[[], None]) -> None:
    try:
        check()
    except NoOutbox as error:
        raise WrongSetting(str(error)) from error
    except OutboxUnavailable as error:
        log.warning("outbox.unavailable", extra={"why": str(error)})
