"""What a supervisor does for worker processes that claim by the API of a service elsewhere."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from random import Random
from typing import Final

from unlost.client.address import Address
from unlost.client.errors import UnlostError
from unlost.ledger.protocol import LeaseOver, LedgerUnavailable
from unlost.ledger.unavailable import log_unavailable
from unlost.pulling import wire
from unlost.pulling.board import Board
from unlost.pulling.service import MOST, PART, Service
from unlost.settings import Settings, WrongSetting
from unlost.supervisor.brief import ServiceAt
from unlost.supervisor.processes.process import Child
from unlost.supervisor.processes.starting import CannotStart
from unlost.supervisor.workers.watching import IDLE_SILENCE, Watching
from unlost.supervisor.workers.workers import BEAT
from unlost.telemetry.logs import Log

SHORTEST_LEASE: Final = 5.0
"""Seconds: no lease may be shorter, and so what a dead worker held is lost within that."""

LONE_EVERY: Final = 30.0
"""Seconds for which workers may be busy without a break before one looks for what must run alone:
that is given only to a worker that holds nothing."""

log = Log("unlost.supervisor")


async def opened(at: ServiceAt) -> Service:
    """A service that answers this key.  Raises CannotStart, WrongSetting."""
    try:
        service = Service.at(Address(at.url, at.api_key))
    except (ValueError, UnlostError) as error:
        raise WrongSetting(str(error)) from error
    try:
        await service.extend(f"nobody-{secrets.token_hex(8)}", SHORTEST_LEASE)
    except LeaseOver:  # as it must be
        return service
    except LedgerUnavailable as error:
        await service.close()
        raise CannotStart(str(error)) from error
    return service


class PullWorkers(Watching):
    """The living worker processes of one supervisor, whose attempts a service gives."""

    def __init__(self, service: Service, settings: Settings, random: Random) -> None:
        super().__init__(settings, random)
        self._service = service
        self._idle_at = 0.0
        self._beating: set[str] = set()

    async def until_lone_due(self, types: tuple[str, ...] | None) -> float | None:
        now = asyncio.get_running_loop().time()
        boards = [child.board for child in self._ready().values() if not child.alone]
        if not boards or any(board is None or board.empty for board in boards):
            self._idle_at = now
        if now - self._idle_at < LONE_EVERY:
            return None
        self._idle_at = now
        return 0.0

    async def beat(self) -> None:
        async with asyncio.TaskGroup() as beats:
            while True:
                await asyncio.sleep(min(BEAT, self._settings.lease / 4))
                for name in sorted(self._ready().keys() - self._beating):
                    self._beating.add(name)
                    beats.create_task(self._beat(name))

    async def _beat(self, worker: str) -> None:
        try:
            await self._extend(worker)
        except LeaseOver:  # it has claimed nothing yet, or hears of that itself
            pass
        except LedgerUnavailable as error:
            log_unavailable(log, error)
        finally:
            self._beating.discard(worker)

    async def _extend(self, worker: str, tokens: tuple[str, ...] = ()) -> set[str]:
        lease = self._settings.lease
        return await self._service.extend(worker, lease, tokens, within=lease * PART)

    async def _overdue(self, child: Child, silent: float) -> bool:
        entries = [] if child.board is None else child.board.entries()
        if any(one.due < time.monotonic() for one in entries):
            return True
        tokens = tuple(one.token for one in entries[:MOST])
        try:
            gone = await self._extend(child.id, tokens)
        except LeaseOver:
            gone = set(tokens)
        except LedgerUnavailable:
            return False
        return len(gone) == len(tokens) and silent > IDLE_SILENCE

    async def bury(self, child: Child, *, meant: bool, give_up: Callable[[], bool]) -> None:
        """Release what a worker held that was to end; let the lease of another end soon, whereby
        the service takes for lost what it held."""
        self._living.pop(child.id, None)
        board = child.board
        if board is None:
            return
        try:
            await self._until_done(lambda: self._settle(child.id, board, meant=meant), give_up)
        finally:
            board.close()

    async def _settle(self, worker: str, board: Board, *, meant: bool) -> None:
        tokens = [one.token for one in board.entries() if one.due > time.monotonic()]
        if meant and tokens:
            await self._service.settle([wire.End(token, "released") for token in tokens])
        await self._service.extend(worker, SHORTEST_LEASE)
        if tokens:
            event = "attempts.released" if meant else "attempts.lost"
            log.warning(event, extra={"worker": worker, "attempts": len(tokens)})
