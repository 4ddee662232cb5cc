"""The tree: which children run, when they are started again, and how all of it ends."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine, Sequence, Set
from typing import TYPE_CHECKING, Any

from unlost.ledger.opening import InFile, file_of
from unlost.ledger.protocol import Ledger, LedgerGone, LedgerUnavailable
from unlost.settings import Settings, WrongSetting
from unlost.supervisor.brief import Exit, ServiceAt
from unlost.supervisor.processes.hanging import see_hanging
from unlost.supervisor.processes.process import Child
from unlost.supervisor.processes.starting import CannotStart, see_start
from unlost.supervisor.workers.watching import Watching
from unlost.supervisor.workers.workers import was_meant
from unlost.telemetry.logs import Log, Writer
from unlost.worker.effects.steps import RECORD_PATIENCE

if TYPE_CHECKING:
    from unlost.supervisor.processes.forking import Forked

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
LONG_LIFE = 30.0
"""Seconds that a child was ready after which its end counts as its first again."""

LONE_LOOK = 1.0
"""Seconds, at most, between looks for tasks that must run alone."""

LONE_START = 0.1
"""Seconds that a worker which runs alone gets to claim, before another one is started."""

SHORTEST_GRACE = 1.0
"""Seconds that children get to end in order, however short the grace period is."""

LAST_SECONDS = 0.3
"""What is left of the grace period when children are killed."""

log = Log("unlost.supervisor")


def first_roles(settings: Settings, roles: Set[str]) -> list[str]:
    """The role of each child with which a service of these roles begins."""
    workers = settings.workers if "worker" in roles and settings.works else 0
    return [
        *(["api"] if "api" in roles else []),
        *(["worker"] * workers),
        *(["outbox"] if "outbox" in roles else []),
    ]


class Tree:
    """A supervisor's children, each kept running until `stop`.

    `listener` is the API's socket.  Workers without a `ledger` claim by the API of a `service`.
    The first children are those that are `forked`, as far as they go.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger | None,
        workers: Watching,
        writer: Writer,
        listener: int | None,
        service: ServiceAt | None = None,
        forked: Sequence[Forked] = (),
    ) -> None:
        self._forked = list(forked)
        self._settings = settings
        self._service = service
        self._ledger = ledger
        self._workers = workers
        self._writer = writer
        self._listener = listener
        self._children: set[Child] = set()
        self._keepers: set[asyncio.Task[None]] = set()
        self._lone: set[Child] = set()
        self._look = asyncio.Event()  # a task may have to run alone
        self.stopping = asyncio.Event()

    async def start(self, roles: frozenset[str]) -> None:
        """Start the children of these roles; return when they are ready, or `stop` was called.

        Raises CannotStart or WrongSetting; no child is left then.
        """
        if self.stopping.is_set():
            return
        first = [self._launch(role) for role in first_roles(self._settings, roles)]
        for child in first:
            await child.started.wait()
            if child.ready is None and not self.stopping.is_set():
                await self._abandon(first)
                raise WrongSetting(child.failure) if child.is_wrong else CannotStart(child.failure)
        for child in first:
            self._run(self._keep(child))
        if not first:
            self._run(self._stay())
        served = [child.ready.types for child in first if child.id and child.ready is not None]
        if served:
            self._run(self._keep_lone(served[0]))

    async def _stay(self) -> None:
        """Without a child there is what the supervisor does itself, until `stop`."""
        await self.stopping.wait()

    async def _abandon(self, children: list[Child]) -> None:
        self.stopping.set()  # what they have begun costs nothing
        for child in children:
            child.kill()
        for child in children:
            await self._see_off(child)

    def _run(self, step: Coroutine[Any, Any, None]) -> None:
        self._keepers.add(asyncio.create_task(step))

    async def run(self) -> None:
        """Return when all children have ended for good, which is after `stop`.

        Raises LedgerGone where nothing is left that could serve what is in a file that is gone.
        """
        while self._keepers:
            done, _ = await asyncio.wait(set(self._keepers), return_when=asyncio.FIRST_COMPLETED)
            self._keepers -= done
            for task in done:
                task.result()

    def stop(self, later: Callable[[float], None] = lambda _: None) -> float:
        """Drain: children end in order within the grace period, else they are killed.

        Called again, it does not wait for them.  Returns the seconds until none is left; where a
        child records by then what is done, it is killed later, and `later` is told the seconds
        that are left then.
        """
        if self.stopping.is_set():
            self.kill()
            return 0.0
        self.stopping.set()
        self._look.set()
        for child in self._children:
            child.terminate()
        patience = max(self._settings.grace, SHORTEST_GRACE) - LAST_SECONDS
        loop = asyncio.get_running_loop()
        loop.call_later(patience, self._kill_idle, later)
        return patience

    def _kill_idle(self, later: Callable[[float], None]) -> None:
        """End all children: now those that do not record what is done."""
        for child in self._children:
            if not child.recording:
                child.kill()
        if any(child.recording for child in self._children):
            asyncio.get_running_loop().call_later(RECORD_PATIENCE, self.kill)
            later(RECORD_PATIENCE)

    def kill(self) -> None:
        """End all children now."""
        for child in self._children:
            child.kill()

    def _launch(self, role: str, *, alone: bool = False) -> Child:
        child = self._made(role, alone=alone)
        self._children.add(child)
        if child.id:
            self._workers.add(child)
        self._run(see_start(child, self._settings.start_timeout))
        if not child.id:  # a worker's attempts and their deadlines tell more (see `Workers.watch`)
            self._run(see_hanging(child))
        return child

    def _made(self, role: str, *, alone: bool) -> Child:
        return Child(
            role,
            self._settings,
            self._writer,
            worker_id=secrets.token_hex(8) if role == "worker" else "",
            alone=alone,
            listener=self._listener if role == "api" else None,
            ledger_file=None if self._ledger is None else file_of(self._ledger),
            service=self._service,
            forked=self._forked.pop() if self._forked else None,
        )

    async def _see_off(self, child: Child) -> int:
        """Wait for a child's end, tell of it, and settle what it left; its exit status."""
        status = await child.exited
        self._children.discard(child)
        if not self.stopping.is_set() and not (child.alone and status == Exit.DONE):
            _tell_end(child, status)
        if child.id:
            meant = was_meant(child, stopping=self.stopping.is_set())
            await self._workers.bury(child, meant=meant, give_up=self.stopping.is_set)
            self._look.set()
        return status

    async def _keep(self, child: Child) -> None:
        """See that a child like this one runs until `stop`."""
        pause = FIRST_PAUSE
        while True:
            ends: set[asyncio.Future[Any]] = {child.exited, child.stuck}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if child.stuck.done() and not self.stopping.is_set():
                # It claims no more, but has still to let the neighbours finish.
                self._run(self._see_extra_off(child))
                child = self._launch(child.role)
                continue
            status = await self._see_off(child)
            if self.stopping.is_set() or self._is_left(child):
                return
            now = asyncio.get_running_loop().time()
            if child.ready_at is not None and now - child.ready_at > LONG_LIFE:
                pause = FIRST_PAUSE
            if status not in (Exit.STUCK, Exit.LEASE_OVER):  # those ended to be started again
                await self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            if self.stopping.is_set():
                return
            child = self._launch(child.role)

    def _is_left(self, child: Child) -> bool:
        """Whether the ledger's file is gone, so that this child, which has ended, was the last.

        What is left serves reads.  Raises LedgerGone where that is nothing.
        """
        try:
            self._check_ledger()
        except LedgerGone:
            if child.role == "api" or not self._children:
                raise
            return True
        return False

    def _check_ledger(self) -> None:
        """Raise LedgerGone where the ledger is in a file that is gone."""
        with contextlib.suppress(OSError):
            ledger = self._ledger
            if ledger is not None and isinstance(ledger, InFile):
                ledger.check_file()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    # Tasks that run alone

    async def _keep_lone(self, types: tuple[str, ...] | None) -> None:
        """Start a worker that runs alone whenever a task of these types is due for one."""
        while not self.stopping.is_set():
            seconds = await self._until_lone_due(types)
            if self.stopping.is_set():
                return
            if seconds <= 0 and len(self._lone) < self._settings.workers:
                await self._start_lone()
                continue
            self._look.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds if 0 < seconds < LONE_LOOK else LONE_LOOK):
                    await self._look.wait()

    async def _until_lone_due(self, types: tuple[str, ...] | None) -> float:
        try:
            self._check_ledger()
            wait = await self._workers.until_lone_due(types)
        except LedgerUnavailable:
            wait = None
        return LONE_LOOK if wait is None else wait

    async def _start_lone(self) -> None:
        child = self._launch("worker", alone=True)
        self._lone.add(child)
        self._run(self._see_extra_off(child))
        await child.started.wait()
        if child.ready is None:
            await self._pause(LONGEST_PAUSE)
        else:
            await self._pause(LONE_START)

    async def _see_extra_off(self, child: Child) -> None:
        """See the end of a child that nobody starts again."""
        await self._see_off(child)
        self._lone.discard(child)


def _tell_end(child: Child, status: int) -> None:
    told: dict[str, object] = {"role": child.role, "pid": child.pid, "status": status}
    if child.id:
        told["worker"] = child.id
    if child.failure:
        told["why"] = child.failure
    log.warning("process.ended", extra=told)
