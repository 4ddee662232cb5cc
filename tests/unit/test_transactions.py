"""A handler that asks for a transaction, and is told to end: in every order of the two."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tests.unit.stage import stage
from tests.unit.virtual import in_virtual_time
from unlost.handlers import Task
from unlost.worker.effects.transactions import TransactingLedger, Transactions


class _Slow:
    """A ledger on which it takes a second to begin a transaction."""

    async def begin_transaction(self, *, threaded: bool) -> Any:
        await asyncio.sleep(1)
        raise AssertionError("it was told to end before")


class _Running:
    """Attempts that all run."""

    def runs(self, token: str) -> bool:
        return True

    def makes_step(self, token: str) -> bool:
        return False


@pytest.mark.parametrize("turns", [0, 1, 2])
@in_virtual_time
async def test_who_is_told_to_end_as_it_asks_may_be_told_again(turns: int) -> None:
    transactions = Transactions(cast(TransactingLedger, _Slow()), 1, cast(Any, _Running()))
    asking = asyncio.ensure_future(transactions.beginner("token", threaded=False)())
    for _ in range(turns):
        await asyncio.sleep(0)
    transactions.told("token")
    if turns == 0:
        asking.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
        transactions.told("token")
    assert asking.cancelled()


@in_virtual_time
async def test_a_look_for_cancelled_tasks_that_ends_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handler(task: Task) -> None:
        await asyncio.sleep(1000)

    def drop(tokens: object) -> None:
        raise asyncio.CancelledError

    async with stage(handler) as play:
        monkeypatch.setattr(play.worker._runner, "drop", drop)
        await play.submit("t")
        await play.running("t")
        await asyncio.wait([play.worker_task], timeout=10)
        assert play.worker_task.done()
        end = play.worker_task.exception()
    assert isinstance(end, ExceptionGroup)
    assert [type(error) for error in end.exceptions] == [RuntimeError]
