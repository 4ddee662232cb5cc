"""A child of the supervisor: `python -m unlost.supervisor.child api`, `… worker`, `… outbox`."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from dataclasses import replace
from functools import partial
from io import FileIO
from random import Random
from typing import TYPE_CHECKING, cast

import msgspec

from unlost.handlers import HandlerNotLoaded, Handlers
from unlost.handlers.chosen import chosen
from unlost.handlers.loading import prepare
from unlost.handlers.named import named
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, LedgerUnavailable, NotALedger
from unlost.settings import WrongSetting
from unlost.supervisor.brief import (
    FAILED,
    LEAVING,
    OPENING,
    READY,
    RECORDING,
    SHOW,
    STUCK,
    WRONG,
    Brief,
    Exit,
    Ready,
)
from unlost.supervisor.child.open_files import make_room
from unlost.supervisor.child.orphan import die_with_parent, watch_parent
from unlost.supervisor.child.voice import Orders, Voice, pulsing
from unlost.telemetry import logs
from unlost.telemetry.logs import Log, Writer
from unlost.telemetry.measuring import Recorder, publishing
from unlost.tracing import CannotTrace, Tracing, import_tracing, open_tracing
from unlost.webhooks.serving import serving
from unlost.worker.ending import Ending
from unlost.worker.running.output import Printed
from unlost.worker.worker import Worker
from unlost.worker.working import Working

if TYPE_CHECKING:
    from unlost.pulling.service import Service

log = Log("unlost.supervisor.child")

EXITS = {
    Ending.NOTHING_DUE: Exit.DONE,
    Ending.DRAINED: Exit.DONE,
    Ending.STUCK: Exit.STUCK,
    Ending.LEASE_OVER: Exit.LEASE_OVER,
}

TO_SEND = 2.0
"""Seconds that a process gets at its end to send the traces that wait."""

SLOW_END = 3.0
"""Seconds that a process gets for what its handlers' modules do when it ends."""


def main() -> None:
    """Run one role as the brief on stdin says, and exit with an `Exit`."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the supervisor acts on it
    brief, lifeline = _read_brief()
    orders = Orders()
    watch_parent(brief.parent, lifeline, Exit.ORPHANED, orders.stop)
    faulthandler.enable()
    faulthandler.register(SHOW, file=2, all_threads=False)  # ours all wait
    role = sys.argv[1]
    writer = logs.Writer(brief.log)
    logs.setup(writer, role=role, pid=os.getpid())
    voice = Voice(brief.voice)
    try:
        if role == "api":
            status = _api(brief, voice)
        elif role == "outbox":
            from unlost.supervisor.child.relaying import relay  # noqa: PLC0415  others need none of it

            voice.doing(OPENING)
            with _runner() as runner:
                runner.run(relay(brief, lambda: voice.say(READY + msgspec.json.encode(Ready()))))
            status = Exit.DONE
        else:
            status = _worker(brief, lifeline, voice, writer, orders)
    except (HandlerNotLoaded, CannotTrace, NotALedger, LedgerUnavailable, WrongSetting) as error:
        word = WRONG if isinstance(error, HandlerNotLoaded | CannotTrace) else FAILED
        voice.say(word + " ".join(str(error).split()).encode("utf-8", "replace"))
        status = Exit.FAILED
    except Exception as error:
        log.exception("process.failed")
        voice.say(FAILED + _told(role, error).encode("utf-8", "replace"))
        status = Exit.FAILED
    _end_soon(status, writer, at_once=False)
    writer.close()
    sys.exit(status)


def _told(role: str, error: Exception) -> str:
    """What a child failed of, in one line that names the file where it did."""
    told = f"the {role} process failed: {type(error).__name__}: {error}"
    *_, last = [*traceback.walk_tb(error.__traceback__)]
    return " ".join(f"{told} ({last[0].f_code.co_filename}, line {last[1]})".split())


def _read_brief() -> tuple[Brief, int]:
    """The brief, and a descriptor whose end is the supervisor's; stdin becomes empty."""
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 1)
        if not data:
            os._exit(Exit.ORPHANED)
        line += data
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return msgspec.json.decode(line, type=Brief), lifeline


def _runner() -> asyncio.Runner:
    """Runs what it is given in one event loop, which does not depend on the loop policy."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415  not on every platform
    except ImportError:
        return asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
    return asyncio.Runner(loop_factory=new_event_loop)


# The API


def _api(brief: Brief, voice: Voice) -> Exit:
    with _runner() as runner:
        runner.run(_serve(brief, voice))
    return Exit.DONE


async def _serve(brief: Brief, voice: Voice) -> None:
    from unlost.api.app import create_app  # noqa: PLC0415  a worker needs no web framework
    from unlost.api.http.connections import Connections  # noqa: PLC0415
    from unlost.api.server import serve  # noqa: PLC0415

    possible = make_room(brief.settings.max_connections)
    settings = replace(brief.settings, max_connections=possible)
    tracing = open_tracing("api", on=settings.otel)
    voice.doing(OPENING)
    ledger = await open_ledger(settings.ledger, same=brief.ledger_file)
    voice.doing("starting its server")
    ready = msgspec.json.encode(Ready())
    pulse = asyncio.create_task(pulsing(voice, []))
    try:
        app = create_app(ledger, settings, tracing=tracing)
        listener = socket.socket(fileno=brief.listener)
        await serve(
            app,
            listener,
            lambda: voice.say(READY + ready),
            keep_alive=settings.keep_alive,
            connections=Connections(possible, root_path=settings.root_path),
        )
    finally:
        pulse.cancel()
        await ledger.close()
        tracing.close(TO_SEND)


# Workers


def _worker(brief: Brief, lifeline: int, voice: Voice, writer: Writer, orders: Orders) -> Exit:
    """Work.  All of ours is there before the handlers' module: it may change the working
    directory, the environment, the path of imports and whatever else is the process's."""
    settings = brief.settings
    printed = _log_prints()
    prepare(settings.handler)
    if settings.otel:
        import_tracing()
    with _runner() as runner:
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
        work = _Work(brief, voice, writer, printed, orders)
        return runner.run(work.until_told(outside, handlers, tracing))


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
        _end_soon(EXITS[ending], self._writer, at_once=worker.busy)
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


def _end_soon(status: Exit, writer: Writer, *, at_once: bool) -> None:
    """End the process also where a handler, or what its module left behind, does not end."""

    def end() -> None:
        writer.close()
        os._exit(status)

    if at_once:
        end()
    last = threading.Timer(SLOW_END, end)
    last.daemon = True
    last.start()


if __name__ == "__main__":
    main()
