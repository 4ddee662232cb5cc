"""Who hears of a task before it is synced, and who only then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from unlost.ledger.hints import Hints
from unlost.ledger.opening import open_ledger
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.values import Claim, Submitted, Worker
from unlost.policy import Limits
from unlost.task import SECOND, Submission

LIMITS = Limits(2, 60.0)


class Committing:
    """The writer's connection; notes who has heard something when a commit begins."""

    def __init__(self, db: object, listeners: dict[str, Hints]) -> None:
        self._db = db
        self._listeners = listeners
        self.before: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)

    def execute(self, sql: str, *given: object) -> object:
        if sql == "COMMIT":
            self.before = self.heard()
        return cast(Any, self._db).execute(sql, *given)

    def heard(self) -> list[str]:
        """Who has heard something since it was last asked."""
        return [name for name, hints in self._listeners.items() if _waker(hints).drain()]


def _waker(hints: Hints) -> Any:
    return hints._waker


@pytest.fixture
async def ledgers(tmp_path: Path) -> AsyncIterator[list[SqliteLedger]]:
    opened = [await open_ledger(f"sqlite:///{tmp_path}/ledger.db") for _ in range(3)]
    yield cast(list[SqliteLedger], opened)
    for one in opened:
        await one.close()


async def submit(ledger: SqliteLedger, task_id: str) -> None:
    await ledger.submit([Submission(task_id, "{}", b"x" * 32)])


def asking(worker: str, turn: int) -> Claim:
    return Claim(worker, [f"{worker}-{turn}"], None, LIMITS)


async def test_a_worker_hears_before_the_sync_and_who_only_looks_after_the_commit(
    ledgers: list[SqliteLedger],
) -> None:
    api, worker, watcher = ledgers
    await worker.enlist(Worker("w"), 60 * SECOND)
    assert await worker.claim(asking("w", 0)) == []
    for one in (worker, watcher):
        await one.wait(0)
    listeners = {"worker": cast(Hints, worker._hints), "watcher": cast(Hints, watcher._hints)}
    noted = Committing(api._writer._db, listeners)
    api._writer._db = cast(Any, noted)
    await submit(api, "t")
    assert noted.before == ["worker"]
    await api.close()  # only then have all been told
    assert noted.heard() == ["watcher"]


async def test_the_only_worker_that_lost_a_race_claims_what_it_hears_of_first(
    ledgers: list[SqliteLedger],
) -> None:
    """A look would find nothing before the commit, and nobody would tell it again."""
    api, worker, _ = ledgers
    await worker.enlist(Worker("w"), 60 * SECOND)
    await worker.claim(asking("w", 0))
    await worker.wait(0)
    worker._race.hinted(None)
    await worker.claim(asking("w", 1))  # found nothing after a hint
    await submit(api, "t")
    await worker.wait(10)
    hinted = worker._race.begin(None)
    assert not worker._race.looks_first(hinted=hinted)
    worker._race.end(hinted=hinted, found=False)
    assert [one.task_id for one in await worker.claim(asking("w", 2))] == ["t"]


async def test_a_claim_that_followed_a_look_is_not_told_what_that_found(
    ledgers: list[SqliteLedger],
) -> None:
    """It would claim once more, in vain."""
    api, worker, _ = ledgers
    await worker.enlist(Worker("w"), 60 * SECOND)
    for turn in range(2):
        worker._race.hinted(None)
        claim = asking("w", turn)
        assert await worker.claim(claim) == []  # found nothing after a hint
        assert await worker.due_in(None, after=claim) is None
    await submit(api, "t")
    worker._race.hinted(None)
    claim = asking("w", 2)
    assert [one.task_id for one in await worker.claim(claim)] == ["t"]
    assert await worker.due_in(None, after=claim) is None


class Client:
    """Awaits a submit, and notes whether the lock was held when it was answered."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._lock = ledger._writer._lock
        self.answered = asyncio.Event()
        self.held: list[bool] = []
        self._loop = asyncio.get_running_loop()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def cancelled(self) -> bool:
        return False

    def at_once(self, stored: list[Submitted]) -> bool:
        self.held.append(self._lock._mutex.locked())
        self._loop.call_soon_threadsafe(self.answered.set)
        return True

    def set_result(self, stored: list[Submitted]) -> None:
        self.answered.set()

    def set_exception(self, fault: BaseException) -> None:
        self.answered.set()


async def test_a_client_has_its_answer_before_a_worker_has_the_lock(
    ledgers: list[SqliteLedger],
) -> None:
    client = Client(ledgers[0])
    ledgers[0].submit_for([Submission("t", "{}", b"x" * 32)], client)
    await client.answered.wait()
    assert client.held == [True]


async def test_no_client_has_an_answer_at_once_where_the_file_is_gone(
    ledgers: list[SqliteLedger], tmp_path: Path
) -> None:
    client = Client(ledgers[0])
    for path in tmp_path.glob("ledger.db*"):
        path.rename(tmp_path / f"moved-{path.name}")
    ledgers[0].submit_for([Submission("t", "{}", b"x" * 32)], client)
    await client.answered.wait()
    assert client.held == []
