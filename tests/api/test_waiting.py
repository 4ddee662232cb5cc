"""Who waits for a task's end: what looking costs, and what one key's waiting means for others."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import pytest

from tests.api.checks import until
from tests.unit.virtual import clock, in_virtual_time
from unlost.api.calls.attempts.awaiting import Awaiting
from unlost.api.calls.watching.watch import Watch
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.ledger.values import EVERYTHING, Part
from unlost.ledger.waking import Woken
from unlost.task import Micros, Record, Submission


class Looked(MemoryLedger):
    """A ledger that counts how often tasks are looked at."""

    looks = 0

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        self.looks += 1
        return await super().get(task_id, parts)


def gone() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_many_who_wait_for_a_task_cost_one_look_when_it_ends_and_go_one_by_one() -> None:
    ledger = Looked(wall_clock)
    watch = Watch(ledger)
    await ledger.submit([Submission(name, "{}", b"digest") for name in ("t", "other")])
    ended: list[int] = []

    async def wait(number: int, task_id: str) -> None:
        await watch.until_terminal(task_id, 30, gone())
        ended.append(number)

    waits = [asyncio.create_task(wait(number, "t")) for number in range(200)]
    other = asyncio.create_task(wait(-1, "other"))
    await until(lambda: ledger.looks == 201)  # each looks once after it has begun to listen

    await ledger.cancel("t", None, None)
    counts = [0]
    async with asyncio.timeout(10):
        while len(ended) < 200:
            await asyncio.sleep(0)
            counts.append(len(ended))
    assert max(after - before for before, after in pairwise(counts)) == 1
    assert ledger.looks <= 203
    assert not other.done()
    await ledger.cancel("other", None, None)
    await asyncio.gather(other, *waits)


async def test_a_task_is_looked_at_once_a_second_for_all_who_wait_for_it(
    monkeypatch: Any,
) -> None:
    ledger = Looked(wall_clock)
    watch = Watch(ledger)
    monkeypatch.setattr("unlost.api.calls.watching.waiting.REREAD", 0.05)
    await ledger.submit([Submission("t", "{}", b"digest")])
    waits = [asyncio.create_task(watch.until_terminal("t", 30, gone())) for _ in range(200)]
    await until(lambda: ledger.looks == 200)
    await asyncio.sleep(0.2)
    assert 200 < ledger.looks < 210
    watch.close()
    await asyncio.gather(*waits)


async def test_claims_that_wait_hear_again_after_an_error_that_nobody_expected() -> None:
    class Broken(MemoryLedger):
        broken = True

        async def wait(self, seconds: float) -> Woken:
            if self.broken:
                raise RuntimeError("no ear")
            return await super().wait(seconds)

    ledger = Broken(wall_clock)
    awaiting = Awaiting(ledger, Watch(ledger))
    async with awaiting.heard(["mail"], None, gone()) as hint:
        assert hint is not None
        await asyncio.sleep(0.01)
        ledger.broken = False
        hint.clear()
        async with asyncio.timeout(10):
            while not hint.is_set():
                await ledger.submit([Submission(f"t{wall_clock()}", "{}", b"digest", type="mail")])
                await asyncio.sleep(0.05)


async def test_claims_that_wait_are_woken_by_what_concerns_them_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unlost.api.calls.attempts.awaiting.LONGEST", 60)  # then all of them look
    ledger = MemoryLedger(wall_clock)
    awaiting = Awaiting(ledger, Watch(ledger))
    async with (
        awaiting.heard(["mail"], None, gone()) as mail,
        awaiting.heard(["other"], None, gone()) as other,
    ):
        assert mail is not None
        assert other is not None
        await ledger.submit([Submission("t", "{}", b"digest", type="mail")])
        await asyncio.wait_for(mail.wait(), 10)
        assert not other.is_set()


async def test_a_flood_of_waits_leaves_claims_their_places_and_a_key_its_share_of_them() -> None:
    ledger = MemoryLedger(wall_clock)
    watch = Watch(ledger, most=4)
    awaiting = Awaiting(ledger, watch)
    await ledger.submit([Submission("t", "{}", b"digest")])
    waits = [asyncio.create_task(watch.until_terminal("t", 30, gone())) for _ in range(4)]
    await until(lambda: watch.watchers == 4)
    async with (
        awaiting.heard(["mail"], "loud", gone()) as first,
        awaiting.heard(["mail"], "loud", gone()) as second,
        awaiting.heard(["mail"], "quiet", gone()) as third,
        awaiting.heard(["mail"], "loud", gone()) as fourth,
    ):
        assert first is not None
        assert first.over
        assert not await awaiting.until_due(first, "w", ["mail"], 10**9, 0)
        assert second is not None
        assert third is not None
        assert fourth is None
        assert [second.over, third.over] == [False, False]
    watch.close()
    await asyncio.gather(*waits)


@in_virtual_time
async def test_a_claim_that_found_nothing_tries_again_though_hints_come_all_the_time() -> None:
    ledger = MemoryLedger(clock)
    awaiting = Awaiting(ledger, Watch(ledger))
    await ledger.submit([Submission("t", "{}", b"digest", type="mail")])
    loop = asyncio.get_running_loop()

    async def hint_often(hint: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(0.3)
            hint.set()

    async with awaiting.heard(["mail"], None, gone()) as hint:
        assert hint is not None
        hinting = asyncio.create_task(hint_often(hint))
        for empty, pause in ((0, 0), (1, 0.001), (8, 0.128), (11, 1), (40, 1)):
            begun = loop.time()
            assert await awaiting.until_due(hint, "w", ["mail"], begun + 30, empty)
            assert loop.time() - begun == pytest.approx(pause)
        hinting.cancel()


@in_virtual_time
async def test_a_claim_whose_client_has_left_waits_no_longer() -> None:
    ledger = MemoryLedger(clock)
    awaiting = Awaiting(ledger, Watch(ledger))
    loop, left = asyncio.get_running_loop(), gone()
    loop.call_later(5, left.set_result, None)
    async with awaiting.heard(["mail"], None, left) as hint:
        assert hint is not None
        assert not await awaiting.until_due(hint, "w", ["mail"], 30, 0)
        assert loop.time() == pytest.approx(5)


@in_virtual_time
async def test_claims_that_wait_for_the_same_look_once_for_all() -> None:
    class Counted(MemoryLedger):
        looks = 0

        async def due_in(self, *args: Any, **options: Any) -> Micros | None:
            self.looks += 1
            return await super().due_in(*args, **options)

    ledger = Counted(clock)
    awaiting = Awaiting(ledger, Watch(ledger))

    async def wait(number: int) -> bool:
        async with awaiting.heard(["mail"], None, gone()) as hint:
            assert hint is not None
            return await awaiting.until_due(hint, f"w{number}", ["mail"], 30, 0)

    leaves, *waits = [asyncio.create_task(wait(number)) for number in range(101)]
    await asyncio.sleep(0.5)
    assert ledger.looks == 2
    leaves.cancel()
    await asyncio.sleep(5)
    assert ledger.looks <= 2 + 5 * 4  # each second by a hint, and by the clock
    looks = ledger.looks
    await ledger.submit([Submission("t", "{}", b"digest", type="mail")])
    assert await asyncio.gather(*waits) == [True] * 100
    assert ledger.looks == looks + 2
