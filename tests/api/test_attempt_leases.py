"""Workers that claim by the API: leases, claims that come again, and claims that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.api.attempts import CLAIM, claim, extend, one, settle, settled
from tests.api.checks import problem
from tests.conformance.stage import Clock, Stage
from unlost.api.calls.attempts.pulls import Pulls
from unlost.effects import Recorded, Step
from unlost.ledger.protocol import LedgerUnavailable, Pulling
from unlost.ledger.values import Claimed, NewStep, Pull, Pulled
from unlost.task import State
from unlost.worker.attempt import Ended


async def record_large_steps(stage: Stage) -> None:
    """By each attempt that runs, of nearly 1 MiB together."""
    for held in await stage.ledger.held("w"):
        for number in range(15):
            new = NewStep(held.task_id, held.token, f"n{number}", f'"{"x" * 65_000}"')
            assert await stage.ledger.record_step(new) is Recorded.KEPT


async def test_what_another_worker_runs_is_not_this_workers_to_prolong(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("a", "b")
    (a,) = (each["token"] for each in await claim(api, limit=1))
    (b,) = (each["token"] for each in await claim(api, CLAIM + "-2", limit=1, worker="v"))
    assert (await extend(api, a, b)).json()["gone"] == [{"token": b, "state": "unknown"}]
    assert (await extend(api, a, b, worker="v")).json()["gone"] == [
        {"token": a, "state": "unknown"}
    ]


async def test_a_lease_is_prolonged_and_tells_what_runs_no_more(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit("a", "b")
    a, b = (each["token"] for each in await claim(api, leaseSeconds=5))
    clock.advance(4)
    assert (await extend(api, a, b)).json() == {"gone": []}
    clock.advance(59)
    await api.post("/tasks/a/cancel")
    assert (await extend(api, a, b, seconds=5)).json()["gone"] == [
        {"token": a, "state": "cancelled"}
    ]
    assert await settled(api, a, outcome="succeeded") == (409, "cancelled")
    clock.advance(5)
    problem(await extend(api, b), 409)
    step = {"token": b, "name": "x", "result": 1}  # nobody has taken it for lost
    assert (await api.post("/attempts/steps", json=step)).json() == {"kept": True}
    assert await settled(api, b, outcome="succeeded") == (200, "succeeded")
    problem(await extend(api, worker="never"), 409)
    problem(await extend(api, worker="no%20name"), 404)


async def test_what_a_worker_held_beyond_its_lease_is_lost_when_it_claims_again(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    token = await one(api, stage)
    clock.advance(61)
    assert await claim(api, CLAIM + "-2") == []
    lost = await stage.record("t")
    assert (lost.state, lost.attempts[0].outcome) == (State.RETRYING, "lost")
    assert await settled(api, token, outcome="succeeded") == (409, "retrying")
    clock.advance(1000)
    await stage.submit("other")
    (solo,) = await claim(api, CLAIM + "-3")
    assert (solo["taskId"], solo["alone"], solo["attempt"]) == ("t", True, 2)
    assert await claim(api, CLAIM + "-4") == []


async def test_a_slow_call_of_a_claim_does_not_lose_what_another_call_was_given(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one(api, stage)
    clock.advance(61)
    wait = Pulls.lose
    other: list[dict[str, Any]] = []

    async def slow(self: Pulls, worker: str) -> None:
        """Another call of the claim comes in between, and is answered."""
        monkeypatch.setattr(Pulls, "lose", wait)
        await stage.submit("other")
        other.extend(await claim(api, CLAIM + "-2"))
        await self.lose(worker)

    monkeypatch.setattr(Pulls, "lose", slow)
    assert await claim(api, CLAIM + "-2") == other
    assert [each["taskId"] for each in other] == ["other"]
    assert (await extend(api, other[0]["token"])).json() == {"gone": []}


@pytest.mark.parametrize(("leases", "status"), [(3, 200), (100, 503)])
async def test_a_claim_whose_workers_lease_ends_again_is_tried_again_and_not_for_ever(
    api: httpx.AsyncClient,
    stage: Stage,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    leases: int,
    status: int,
) -> None:
    await stage.submit("t")
    lose = Pulls.lose
    left = leases

    async def again(self: Pulls, worker: str) -> None:
        """Another call of the worker is given something, and its lease ends as well."""
        nonlocal left
        await lose(self, worker)
        left -= 1
        if left:
            await stage.submit(f"other-{left}")
            await claim(api, f"{CLAIM}-{left}-other")
            clock.advance(61)

    await claim(api)
    clock.advance(61)
    monkeypatch.setattr(Pulls, "lose", again)
    await claim(api, CLAIM + "-2", status)


async def test_no_more_is_started_than_an_answer_has_room_for(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    ids = [f"t{number:02}" for number in range(40)]
    for task_id in ids:
        await stage.submit(task_id, payload=f'"{"x" * 240_000}"')
    first = [each["taskId"] for each in await claim(api, limit=40)]
    left = ids[len(first) :]
    assert first == ids[: len(first)]
    assert len(first) == 34
    assert [(await stage.record(one)).attempts for one in left] == [()] * len(left)
    assert [each["taskId"] for each in await claim(api, CLAIM + "-2", limit=40)] == left


async def test_a_claim_that_comes_again_releases_what_no_answer_has_had_room_for(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.submit(*(f"t{number:02}" for number in range(12)))
    first = await claim(api, limit=12)
    await record_large_steps(stage)
    await settle(api, *({"token": each["token"], "outcome": "failed"} for each in first))
    clock.advance(50)
    settles = Pulls.settle

    async def breaking_off(self: Pulls, attempts: Sequence[Claimed], ended: Ended) -> None:
        await settles(self, attempts[:1], ended)
        raise LedgerUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(Pulls, "settle", breaking_off)
        await claim(api, limit=12, status=503)
    given = [each["taskId"] for each in await claim(api, limit=12)]
    states = {each["taskId"]: (await stage.record(each["taskId"])).state for each in first}
    assert len(given) == 8
    assert [name for name, state in states.items() if state is State.RUNNING] == sorted(given)


async def test_what_a_claim_that_comes_again_has_no_room_for_runs_on(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.submit(*(f"t{number}" for number in range(20)))
    first = await claim(api, limit=20)
    await settle(api, *({"token": each["token"], "outcome": "failed"} for each in first))
    clock.advance(50)
    ids = [each["taskId"] for each in await claim(api, limit=20)]
    assert len(ids) == 20
    await record_large_steps(stage)
    read, steps_of = [], stage.ledger.steps_of

    async def noted(task_id: str, *, results: bool = False) -> list[Step]:
        read.append(task_id)
        return await steps_of(task_id, results=results)

    monkeypatch.setattr(stage.ledger, "steps_of", noted)
    again = await claim(api, limit=20)
    assert read == ids[:16]
    assert [each["taskId"] for each in again] == ids[:8]
    assert {(await stage.record(one)).state for one in ids} == {State.RUNNING}
    await settle(api, *({"token": each["token"], "outcome": "succeeded"} for each in again))
    assert [each["taskId"] for each in await claim(api, limit=20)] == ids[8:16]


async def test_no_lease_outlasts_the_time_of_an_attempt(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit("t", timeout=2.0)
    ((token),) = (each["token"] for each in await claim(api))
    clock.advance(2)
    assert (await extend(api, token)).json()["gone"] == [{"token": token, "state": "running"}]
    assert await settled(api, token, outcome="succeeded") == (409, "running")
    assert isinstance(stage.ledger, Pulling)
    assert [late.task_id for late in await stage.ledger.overtime()] == ["t"]


async def test_a_claim_waits_until_something_is_due(api: httpx.AsyncClient, stage: Stage) -> None:
    waiting = asyncio.create_task(claim(api, wait=30))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await stage.submit("other", type="other")
    await stage.submit("t")
    assert [each["taskId"] for each in await asyncio.wait_for(waiting, 10)] == ["t"]


async def test_a_claim_that_waits_does_not_try_for_what_runs_alone_while_its_worker_is_busy(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.submit("lost")
    await claim(api, worker="v")
    clock.advance(61)
    await claim(api, CLAIM + "-2", worker="v")
    clock.advance(50)
    await stage.submit("other", type="mail")
    ((token),) = (each["token"] for each in await claim(api, CLAIM + "-mail", types=["mail"]))
    ledger = stage.ledger
    assert isinstance(ledger, Pulling)
    tried, pull = 0, ledger.pull

    async def counted(wanted: Pull) -> Pulled:
        nonlocal tried
        tried += 1
        return await pull(wanted)

    monkeypatch.setattr(ledger, "pull", counted)
    assert await claim(api, CLAIM + "-3", wait=0.3) == []
    assert tried == 1
    waiting = asyncio.create_task(claim(api, CLAIM + "-4", wait=30))
    await asyncio.sleep(0)
    assert await settled(api, token, outcome="succeeded") == (200, "succeeded")
    (solo,) = await asyncio.wait_for(waiting, 10)
    assert (solo["taskId"], solo["alone"]) == ("lost", True)


async def test_a_claim_waits_no_longer_than_it_says(api: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        assert await claim(api, wait=0.05) == []


@pytest.mark.parametrize("reaped", [False, True])
async def test_a_claim_that_waits_ends_with_the_lease_of_its_worker(
    api: httpx.AsyncClient,
    stage: Stage,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    *,
    reaped: bool,
) -> None:
    looked, due_in = asyncio.Event(), stage.ledger.due_in

    async def looking(*asked: Any, **how: Any) -> Any:
        looked.set()
        return await due_in(*asked, **how)

    monkeypatch.setattr(stage.ledger, "due_in", looking)
    await stage.submit("t")
    (mine,) = await claim(api)
    waiting = asyncio.create_task(claim(api, CLAIM + "-2", wait=30))
    await asyncio.wait_for(looked.wait(), 10)
    clock.advance(61)
    if reaped:  # its attempt was lost to whoever sweeps
        (held,) = await stage.ledger.held("w")
        assert await stage.lose(held)
        await stage.ledger.dismiss("w", expired=True)
        clock.advance(1000)
    await stage.submit("other")
    assert await asyncio.wait_for(waiting, 10) == []
    problem(await extend(api, mine["token"]), 409)
    assert (await stage.record("t")).attempt_count == 1
    assert (await stage.record("other")).attempt_count == 0
    found = await claim(api, CLAIM + "-3")
    assert [each["taskId"] for each in found] == (["t"] if reaped else ["other"])
    assert (await extend(api, mine["token"])).json()["gone"][0]["token"] == mine["token"]
