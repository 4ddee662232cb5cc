"""The child that works: it runs attempts of a ledger, or of a service elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from functools import partial
from io import FileIO
from random import Random
from typing import TYPE_CHECKING, cast

import msgspec

from unlost.handlers import Handlers
from unlost.handlers.chosen import chosen
from unlost.handlers.loading import prepare
from unlost.handlers.named import named
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.supervisor.brief import LEAVING, OPENING, READY, RECORDING, STUCK, Brief, Exit, Ready
from unlost.supervisor.child.ending import TO_SEND, end_soon
from unlost.supervisor.child.voice import Orders, Voice, pulsing
from unlost.telemetry import logs
from unlost.telemetry.logs import Writer
from unlost.telemetry.measuring import Recorder, publishing
from unlost.tracing import Tracing, import_tracing, open_tracing
from unlost.webhooks.serving import serving
from unlost.worker.ending import Ending
from unlost.worker.running.output import Printed
from unlost.worker.worker import Worker
from unlost.worker.working import Working

if TYPE_CHECKING:
    from unlost.pulling.service import Service

EXITS = {
    Ending.NOTHING_DUE: Exit.DONE,
    Ending.DRAINED: Exit.DONE,
    Ending.STUCK: Exit.STUCK,
    Ending.LEASE_OVER: Exit.LEASE_OVER,
}


def work(
    brief: Brief,
    lifeline: int,
    voice: Voice,
    writer: Writer,
    orders: Orders,
    runner: asyncio.Runner,
) -> Exit:
    """Work.  All of ours is there before the handlers' module: it may change the working
    directory, the environment, the path of imports and whatever else is the process's."""
    settings = brief.settings
    printed = _log_prints()
    prepare(settings.handler)
    if settings.otel:
        import_tracing()
    _disown_forks([brief.log, brief.voice, lifeline], runner.get_loop())
    voice.doing(OPENING)
    outside = runner.run(_outside(brief))
    try:
        voice.doing(f"importing {settings.handler or 'the simulated handler'}")
        handlers = _handlers(brief)
        tracing = open_tracing("worker", on=settings.otel)  # handlers' modules come first
    except BaseException:
        runner.run(outside.close())
        raise
    voice.doing("enlisting itself in the ledger")
    gc.freeze()  # what is there now stays: looking through it again and again finds nothing
    one = _Work(brief, voice, writer, printed, orders)
    return runner.run(one.until_told(outside, handlers, tracing))


async def _outside(brief: Brief) -> Ledger | Service:
    """What gives the attempts: the ledger, or a service elsewhere."""
    if brief.service is not None:
        from unlost.client.address import Address  # noqa: PLC0415  who has a ledger needs none
        from unlost.pulling import puller  # noqa: F401, PLC0415  before the handlers' module
        from unlost.pulling.service import Service  # noqa: PLC0415

        return Service.at(Address(brief.service.url, brief.service.api_key))
    return await open_ledger(brief.settings.ledger, same=brief.ledger_file)


def _handlers(brief: Brief) -> Handlers:
    settings = brief.settings
    found = chosen(settings.handler, settings.failure_rate, settings.seed, Random())
    if brief.service is None:
        return serving(found, settings)
    return named(found, brief.service.types)


class _Work:
    """What a worker process does once it has its handlers."""

    def __init__(
        self, brief: Brief, voice: Voice, writer: Writer, printed: list[Printed], orders: Orders
    ) -> None:
        self._brief = brief
        self._voice = voice
        self._writer = writer
        self._printed = printed
        self._orders = orders

    def _worker(
        self, outside: Ledger | Service, handlers: Handlers, tracing: Tracing, recorder: Recorder
    ) -> Working:
        brief = self._brief
        if brief.service is not None:
            from unlost.pulling.board import Board  # noqa: PLC0415
            from unlost.pulling.puller import Puller  # noqa: PLC0415

            return Puller(
                cast("Service", outside),
                handlers,
                brief.settings,
                worker_id=brief.worker_id,
                random=Random(),
                board=Board.of(1) if brief.board is None else Board(brief.board),
                alone=brief.alone,
                tracing=tracing,
            )
        return Worker(
            cast("Ledger", outside),
            handlers,
            brief.settings,
            worker_id=brief.worker_id,
            random=Random(),
            alone=brief.alone,
            recorder=recorder,
            tracing=tracing,
        )

    async def until_told(
        self, outside: Ledger | Service, handlers: Handlers, tracing: Tracing
    ) -> Exit:
        """Run attempts until there is a reason to end."""
        voice = self._voice
        recorder = Recorder()
        worker = self._worker(outside, handlers, tracing, recorder)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, worker.drain)
        self._orders.on_stop(partial(loop.call_soon_threadsafe, worker.drain))
        types = None if handlers.types is None else tuple(handlers.types)
        ready = READY + msgspec.json.encode(Ready(types))
        pulse = asyncio.create_task(pulsing(voice, self._printed))
        async with self._publishing(outside, recorder):
            ending = await worker.run(
                lambda: voice.say(ready),
                lambda: voice.say(STUCK),
                lambda: voice.say(RECORDING),
            )
        await outside.close()
        for stream in self._printed:
            stream.log_rest()
        if ending is not Ending.LEASE_OVER:
            voice.say(LEAVING)
        tracing.close(TO_SEND)
        end_soon(EXITS[ending], self._writer, at_once=worker.busy)
        pulse.cancel()
        return EXITS[ending]

    def _publishing(
        self, outside: Ledger | Service, recorder: Recorder
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Tells the ledger what is measured; a service measures for itself."""
        if self._brief.service is not None:
            return contextlib.nullcontext()
        return publishing(cast("Ledger", outside), recorder)


def _log_prints() -> list[Printed]:
    """Make records of what is printed; bytes written underneath reach the supervisor."""
    out, err = (Printed(name, FileIO(fd, "wb", closefd=False)) for name, fd in _STREAMS)
    sys.stdout, sys.stderr = out, err
    return [out, err]


_STREAMS = (("stdout", 1), ("stderr", 2))


def _disown_forks(ours: list[int], loop: asyncio.AbstractEventLoop) -> None:
    """Let a process that a handler forks off be no worker: without our pipes, log and loop."""
    thread = threading.get_ident()

    def disown() -> None:
        while ours:
            os.close(ours.pop())
        logs.leave_logging()
        if threading.get_ident() == thread:
            loop.call_soon(os._exit, 0)  # before it comes back into the loop

    os.register_at_fork(after_in_child=disown)
