"""Workers: who may claim, and until when."""

from __future__ import annotations

from collections.abc import Collection

from unlost.ledger.memory.kept import Kept
from unlost.ledger.memory.store import Store
from unlost.ledger.values import MOST_SHOWN, Enlisted, Running, Worker
from unlost.task import Micros


class Workers(Store):
    """Keeps the promises of `protocol.Workers`."""

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        for name in [name for name in self._workers if not self._alive(name)]:
            await self.dismiss(name, expired=True)
        self._workers[worker.id] = (worker, self._now() + lease)

    async def extend(self, workers: Collection[str], lease: Micros) -> set[str]:
        enlisted = set(workers) & self._workers.keys()
        for name in enlisted:
            self._workers[name] = (self._workers[name][0], self._now() + lease)
        return enlisted

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        if not expired or not (self._alive(worker) or self._run_by(worker)):
            self._workers.pop(worker, None)

    async def workers(self) -> list[Enlisted]:
        return [self._enlisted(name) for name in sorted(self._workers) if self._alive(name)]

    def _enlisted(self, name: str) -> Enlisted:
        worker, until = self._workers[name]
        running = [_running(kept) for kept in self._run_by(name)]
        running.sort(key=lambda one: (one.started_at, one.task_id))
        return Enlisted(worker, until, tuple(running[:MOST_SHOWN]), len(running))


def _running(kept: Kept) -> Running:
    """A running attempt, as it is shown."""
    task = kept.record
    last = task.attempts[-1]
    return Running(task.task_id, task.type, last.number, last.started_at)
