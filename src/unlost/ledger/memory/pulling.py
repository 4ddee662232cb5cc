"""Workers that claim by the API."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from unlost.ledger.memory.attempts import Attempts, Workers, claimed, held
from unlost.ledger.memory.kept.task import Kept
from unlost.ledger.protocol import AnotherCall, AnothersWorker, LeaseOver
from unlost.ledger.values import PULLED, Held, Pull, Pulled, Worker
from unlost.limits.control import Claimant
from unlost.task import Micros


class Pulling(Workers, Attempts):
    """Keeps the promises of `protocol.Pulling`."""

    async def pull(self, wanted: Pull) -> Pulled:
        name = wanted.claim.worker
        mine = self._run_by(name)
        self._check_owner(name, wanted.owner)
        if not self._alive(name) and (mine or wanted.waits):
            raise LeaseOver(name)
        again = [one for token, one in self._running.items() if token.startswith(wanted.known_by)]
        if not all(_of(one).startswith(wanted.prefix) and one.worker == name for one in again):
            raise AnotherCall
        if name not in self._workers:
            await self._strike_off(wanted.lease)
        if not wanted.waits:
            self._enlist(wanted)
        if again:
            attempts = tuple(claimed(one, None) for one in sorted(again, key=_of))
            return Pulled(attempts, alone=again[0].alone, again=True)
        pulled = await self._started(wanted, mine)
        if wanted.waits and pulled.attempts:
            self._enlist(wanted)
        return pulled

    def _enlist(self, wanted: Pull) -> None:
        worker = Worker(wanted.claim.worker, tuple(wanted.claim.types or ()), pull=True)
        _, until = self._workers.get(worker.id, (worker, 0))
        self._workers[worker.id] = (worker, max(until, self._now() + wanted.lease))
        self._owners[worker.id] = wanted.owner

    async def _started(self, wanted: Pull, mine: Collection[Kept]) -> Pulled:
        claim = wanted.claim
        if any(one.alone or wanted.empties for one in mine):
            return Pulled()
        if not mine:
            solo = replace(claim, tokens=claim.tokens[:1], alone=True)
            if found := await self.claim(solo):
                return Pulled(tuple(found), alone=True)
        return Pulled(tuple(await self.claim(claim)))

    async def lone(self) -> dict[str, Micros]:
        now, rooms = self._now(), self._rooms(Claimant.PULL)
        found: dict[str, Micros] = {}
        for kept in self._suited(None, alone=True):
            name = kept.record.type
            when = rooms.when(name, kept.record.key)
            if kept.due_at <= now and when is not None and when <= now:
                found[name] = max(found.get(name, 0), now - kept.due_at)
        return found

    async def prolong(self, worker: str, owner: str, lease: Micros) -> None:
        self._check_owner(worker, owner)
        if not self._alive(worker):
            raise LeaseOver(worker)
        self._workers[worker] = (self._workers[worker][0], self._now() + lease)

    def _check_owner(self, worker: str, owner: str) -> None:
        if worker in self._workers and self._owners.get(worker) != owner:
            raise AnothersWorker(worker)

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        running = {token: self._running.get(token) for token in tokens}
        return {
            token: kept.worker or ""
            for token, kept in running.items()
            if kept is not None
            and kept.record.task_id == tokens[token]
            and kept.deadline > self._now()
        }

    async def overtime(self) -> list[Held]:
        now = self._now()
        late = (kept for kept in self._running.values() if kept.deadline <= now)
        return [held(kept, now) for kept in late if _of(kept).startswith(PULLED)]


def _of(kept: Kept) -> str:
    """The token of an attempt that runs."""
    return kept.token or ""
