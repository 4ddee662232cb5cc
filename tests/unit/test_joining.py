"""Calls that go into one transaction on PostgreSQL: how many, and what follows a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.unit.virtual import in_virtual_time
from unlost.ledger.postgres.connection.joining import JOINED, PLENTY, Joined
from unlost.ledger.protocol import LedgerUnavailable


class Steps:
    """Transactions that take a second each; one with a number of `bad` among its items fails."""

    def __init__(self, *bad: int) -> None:
        self.sizes: list[int] = []
        self.most = 0
        """Transactions under way at once."""
        self._under_way = 0
        self._bad = set(bad)

    async def run(self, items: Sequence[int]) -> list[int]:
        self.sizes.append(len(items))
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        await asyncio.sleep(1)
        self._under_way -= 1
        if self._bad & set(items):
            raise LedgerUnavailable("no")
        return [-item for item in items]


@in_virtual_time
async def test_a_call_with_more_than_is_joined_is_split() -> None:
    steps = Steps()
    joined = Joined(steps.run, lambda _: 1)
    items = list(range(2 * JOINED + 5))
    assert await joined.do(items) == [-item for item in items]
    assert steps.sizes == [JOINED, JOINED, 5]
    assert await joined.do([]) == []


@in_virtual_time
async def test_after_a_failure_fewer_are_joined_and_then_more_again() -> None:
    steps = Steps(3)
    joined = Joined(steps.run, lambda _: 1)
    first = asyncio.gather(*(joined.do([n]) for n in range(100, 116)))
    await asyncio.sleep(0.5)
    failing = [asyncio.create_task(joined.do([n])) for n in range(20)]
    assert await first == [[-n] for n in range(100, 116)]
    answers = await asyncio.gather(*failing, return_exceptions=True)
    assert [type(one) for one in answers] == [LedgerUnavailable] * 20
    steps.sizes.clear()
    more = await asyncio.gather(*(joined.do([n]) for n in range(200, 260)))
    assert more == [[-n] for n in range(200, 260)]
    assert steps.sizes == [10, 20, 30]


@in_virtual_time
async def test_one_that_always_fails_takes_ever_fewer_others_with_it() -> None:
    steps = Steps(0)
    joined = Joined(steps.run, lambda _: 1)

    async def until_done(number: int) -> int:
        tries = 1
        while True:
            try:
                await joined.do([number])
            except LedgerUnavailable:
                tries += 1
            else:
                return tries

    hopeless = asyncio.create_task(until_done(0))
    async with asyncio.timeout(60):
        await asyncio.gather(*(until_done(number) for number in range(1, 40)))
    hopeless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hopeless


@in_virtual_time
async def test_while_plenty_of_items_wait_two_transactions_are_under_way() -> None:
    steps = Steps()
    joined = Joined(steps.run, lambda _: 1, at_once=2)
    calls = [list(range(n, n + PLENTY)) for n in range(0, 30 * PLENTY, PLENTY)]
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(joined.do(call) for call in calls))
    assert answers == [[-n for n in call] for call in calls]
    assert steps.most == 2
    at_once = JOINED // PLENTY
    assert asyncio.get_running_loop().time() - began == -(-len(calls) // (2 * at_once))


@in_virtual_time
async def test_where_few_items_wait_they_are_joined_even_after_plenty() -> None:
    steps = Steps()
    joined = Joined(steps.run, lambda _: 1, at_once=2)
    first = []
    for _ in range(2):
        first.append(asyncio.create_task(joined.do(list(range(PLENTY)))))
        await asyncio.sleep(0.25)
    few = [asyncio.create_task(joined.do([n])) for n in range(PLENTY - 1)]
    await asyncio.gather(*first, *few)
    assert steps.most == 2
    assert steps.sizes == [PLENTY, PLENTY, PLENTY - 1]
    steps.most = 0
    await asyncio.gather(*(joined.do([n]) for n in range(PLENTY - 1)))
    assert steps.most == 1


@in_virtual_time
async def test_after_a_failure_one_transaction_is_under_way() -> None:
    steps = Steps(7)
    joined = Joined(steps.run, lambda _: 1, at_once=2)
    with pytest.raises(LedgerUnavailable):
        await joined.do([7])
    steps.most = 0
    few = list(range(100, 100 + PLENTY // 4))
    assert await asyncio.gather(*(joined.do(few) for _ in range(8))) == [[-n for n in few]] * 8
    assert steps.most == 1
