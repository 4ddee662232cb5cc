"""From settings to a running service, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence, Set
from errno import EADDRINUSE
from random import Random
from typing import TYPE_CHECKING, Any

from unlost.awake import within
from unlost.ledger.opening import open_ledger, wall_clock
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.settings import Settings, WrongSetting
from unlost.supervisor.brief import OPENING, ServiceAt
from unlost.supervisor.deadline import AFTERWARDS, Deadline
from unlost.supervisor.processes.starting import CannotStart, told_of
from unlost.supervisor.tree import Tree
from unlost.supervisor.workers.workers import Workers
from unlost.telemetry import logs
from unlost.telemetry.logs import Log, Writer
from unlost.telemetry.measuring import Recorder, publishing
from unlost.telemetry.redaction import Redaction
from unlost.tracing import OFF, CannotTrace, Tracing, open_tracing
from unlost.upkeep.circuits import Circuits
from unlost.upkeep.monitor import Monitor
from unlost.upkeep.redrives import Redriving
from unlost.upkeep.scheduler import Scheduler
from unlost.upkeep.sweeper import Sweeper
from unlost.upkeep.unhandled import Unhandled

if TYPE_CHECKING:
    from unlost.supervisor.processes.forking import Forked

BACKLOG = 2048
"""Connections that may wait while the API process is started again."""

LAST_REPORT = 1.0
"""Seconds for reporting what died while the service stopped."""

LAST_TRACES = 1.0
"""Seconds for sending the supervisor's own traces, which tell of workers that are no more."""

log = Log("unlost.supervisor")

Step = Coroutine[Any, Any, None]


def run(
    settings: Settings,
    roles: Set[str],
    service: ServiceAt | None = None,
    forked: Sequence[Forked] = (),
) -> int:
    """Run these roles ("api", "worker", "outbox") until SIGTERM, SIGINT or SIGHUP; the exit status.

    With a `service`, which "worker" alone can have, its attempts are run, and no ledger is opened.
    The first children are those that are `forked`, as far as they go.

    Says on stderr when it is ready.  Blocks; for the main thread only.  Raises CannotStart (a
    taken port), WrongSetting (handlers or tracing that cannot be had, memory://), NotALedger and
    LedgerUnavailable, with one line each, before anything is served, and LedgerGone later.
    """
    if service is None and settings.ledger.startswith("memory:"):
        raise WrongSetting(
            "memory:// lives in one process only; use a ledger such as sqlite:///FILE"
        )
    listener = listen(settings.host, settings.port) if "api" in roles else None
    _end_on_interrupt()
    tracing = _tracing(settings, roles)
    writer = Writer(1, for_people=os.isatty(1))
    logs.setup(writer)
    deadline = Deadline(writer)
    try:
        if service is None:
            service_runs = _supervise(
                settings, frozenset(roles), writer, listener, tracing, deadline, forked
            )
        else:
            service_runs = _pull(settings, service, writer, deadline, forked)
        asyncio.run(service_runs)
    finally:
        deadline.lift()
        tracing.close(LAST_TRACES)
        if listener is not None:
            listener.close()
        writer.close()
    return 0


def _tracing(settings: Settings, roles: Set[str]) -> Tracing:
    if "worker" not in roles:
        return OFF  # there is nobody to settle for
    try:
        return open_tracing("supervisor", on=settings.otel)
    except CannotTrace as error:
        raise WrongSetting(str(error)) from error


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.  Raises CannotStart."""
    try:
        kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(kind, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        why = error.strerror or str(error)
        advice = " (--port 0 takes a free one)" if error.errno == EADDRINUSE else ""
        raise CannotStart(f"cannot listen on {host} port {port}: {why}{advice}") from error
    return listener


async def _supervise(
    settings: Settings,
    roles: frozenset[str],
    writer: Writer,
    listener: socket.socket | None,
    tracing: Tracing,
    deadline: Deadline,
    forked: Sequence[Forked],
) -> None:
    ledger = await told_of(open_ledger(settings.ledger), OPENING)
    random = Random()
    recorder = Recorder()
    workers = Workers(ledger, settings, random, recorder, tracing)
    fd = None if listener is None else listener.fileno()
    tree = Tree(settings, ledger, workers, writer, fd, forked=forked)
    _stop_on_signals(tree, deadline, listener)
    service = _serve(tree, roles, listener)
    unhandled, circuits = Unhandled(ledger, time.monotonic), Circuits(ledger)
    try:
        if "worker" in roles:
            monitor = Monitor(ledger, writer.write, Redaction(settings.redact))
            own = (workers.beat(), workers.watch(), workers.show_starting(), monitor.run())
            upkeep = _upkeep(ledger, settings, random, recorder, tracing)
            async with publishing(ledger, recorder):
                await _beside(service, *own, *upkeep, unhandled.run(), circuits.run())
            await _report_rest(monitor)
        else:
            await _beside(service, unhandled.run(), circuits.run())
    finally:
        tree.kill()
        await ledger.close()


def _upkeep(
    ledger: Ledger, settings: Settings, random: Random, recorder: Recorder, tracing: Tracing
) -> tuple[Step, ...]:
    """What any ledger's tasks need beside workers, to be run until the service ends."""
    sweeper = Sweeper(
        ledger,
        settings,
        clock=wall_clock,
        monotonic=time.monotonic,
        random=random,
        recorder=recorder,
        tracing=tracing,
    )
    redriving = Redriving(ledger, clock=wall_clock, monotonic=time.monotonic)
    return sweeper.run(), redriving.run(), Scheduler(ledger, random).run()


async def _pull(
    settings: Settings,
    at: ServiceAt,
    writer: Writer,
    deadline: Deadline,
    forked: Sequence[Forked],
) -> None:
    """Run the attempts of a service elsewhere."""
    from unlost.supervisor.workers.pulling import PullWorkers, opened  # noqa: PLC0415  others: none of it

    service = await opened(at)
    workers = PullWorkers(service, settings, Random())
    tree = Tree(settings, None, workers, writer, None, at, forked)
    _stop_on_signals(tree, deadline, None)
    try:
        await _beside(_serve(tree, frozenset({"worker"}), None), workers.beat(), workers.watch())
    finally:
        tree.kill()
        await service.close()


async def _serve(tree: Tree, roles: frozenset[str], listener: socket.socket | None) -> None:
    await tree.start(roles)
    if not tree.stopping.is_set():
        log.info("service.ready", extra={"roles": sorted(roles), "pid": os.getpid()})
        _announce(listener)
    await tree.run()


async def _beside(step: Step, *endless: Step) -> None:
    """Run a step to its end with endless ones beside it.  Raises what any of them raises."""
    tasks = [asyncio.create_task(one) for one in (step, *endless)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _report_rest(monitor: Monitor) -> None:
    with contextlib.suppress(TimeoutError, LedgerUnavailable):
        await within(LAST_REPORT, monitor.report())


def _end_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, as SIGTERM does, until there is something to end in
    order: Python's own way waits for the threads, and one may wait for a lock of another process.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _stop_on_signals(tree: Tree, deadline: Deadline, listener: socket.socket | None) -> None:
    def stop() -> None:
        log.info("service.stopping")
        if listener is not None:
            listener.close()
        deadline.set(tree.stop(lambda left: deadline.set(left + AFTERWARDS)) + AFTERWARDS)

    _on_signals(stop)


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            loop.add_signal_handler(number, stop)


def _announce(listener: socket.socket | None) -> None:
    if listener is None:
        line = "unlost worker is ready"
    else:
        host, port = listener.getsockname()[:2]
        line = f"unlost is listening on http://{f'[{host}]' if ':' in host else host}:{port}"
    with contextlib.suppress(OSError):  # in one write: others write there as well
        os.write(2, f"{line}\n".encode())
