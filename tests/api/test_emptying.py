"""What was lost runs alone also where every worker that claims by the API is always busy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx

from tests.api.attempts import CLAIM, claim, settled
from tests.conformance.stage import Clock, Stage
from unlost.api.calls.attempts.emptying import Emptying
from unlost.pull.emptying import PATIENCE
from unlost.task import SECOND


async def lose_one(stage: Stage, clock: Clock, backlog: int) -> Callable[[], Awaitable[bool]]:
    """Have tasks due, and one run; what loses its attempt."""
    await stage.submit("lost")
    held = await stage.run("lost")
    clock.advance(1)
    await stage.submit(*(f"t{number}" for number in range(backlog)))
    return partial(stage.lose, held)


async def test_a_worker_that_is_always_busy_comes_to_run_what_was_lost(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    lose = await lose_one(stage, clock, 100)
    mine = await claim(api, limit=3)
    assert await lose()
    seconds = 0
    while not any(one["alone"] for one in mine) and seconds < 60:
        # Of its three slots one is free again each second.
        assert await settled(api, mine.pop(0)["token"], outcome="succeeded") == (200, "succeeded")
        clock.advance(1)
        seconds += 1
        mine += await claim(api, f"{CLAIM}-{seconds}", limit=3 - len(mine))
    assert [one["taskId"] for one in mine] == ["lost"]
    assert 5 <= seconds < 10


async def test_workers_are_held_back_one_after_the_other_and_then_longer(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    lose = await lose_one(stage, clock, 200)
    for name in "ab":  # with an attempt each that does not end
        assert len(await claim(api, f"{CLAIM}-{name}", worker=name, limit=1, leaseSeconds=600))
    assert await lose()
    held_back = ""
    for second in range(40):
        given = [
            name
            for name in "ab"
            if await claim(api, f"{CLAIM}-{name}-{second}", worker=name, limit=1)
        ]
        held_back += {"ab": "-", "b": "a", "a": "b", "": "!"}["".join(given)]
        clock.advance(1)
    assert held_back == "-----" + "a" * 10 + "b" * 10 + "-" * 10 + "a" * 5


class Watched:
    """A ledger that counts who asks for its workers."""

    def __init__(self, ledger: Any) -> None:
        self.lone = ledger.lone
        self.asked = 0
        self._ledger = ledger

    async def workers(self) -> Any:
        self.asked += 1
        return await self._ledger.workers()


async def test_who_works_is_read_only_where_a_task_of_the_claims_types_has_waited_for_a_while(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    lose = await lose_one(stage, clock, 2)
    assert len(await claim(api, worker="a", limit=1, leaseSeconds=600)) == 1
    assert await lose()
    watched = Watched(stage.ledger)
    emptying = Emptying(watched, clock)  # type: ignore[arg-type]
    for _ in range(PATIENCE // SECOND):
        assert not await emptying.has("a", ["default"])
        clock.advance(1)
    assert not await emptying.has("a", ["other"])
    assert watched.asked == 0
    assert await emptying.has("a", ["other", "default"])
    assert not await emptying.has("b", ["default"])
    assert watched.asked == 1
