"""Workers that claim by the API, where indexes lag, calls break off and the sweep has been by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conformance.stage import Clock, Stage, must_add_up
from tests.ledger.dynamodb_steps import LIMITS, Told, never
from tests.ledger.faulty import CutOff
from tests.ledger.patience import at_once
from tests.ledger.tables import CountedLedger, Table
from unlost.api.app import create_app
from unlost.ledger.dynamodb.attempts import claiming
from unlost.ledger.dynamodb.attempts.holding import UNDER_WAY
from unlost.ledger.dynamodb.connection.indexes import partitions
from unlost.ledger.dynamodb.schema import DUE
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import PULLED, Claim, Pull, Pulled, Worker
from unlost.limits.control import Claimant
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.task import SECOND

LEASE = 600 * SECOND


@pytest.fixture
async def stage(table: Table, clock: Clock) -> AsyncIterator[Stage]:
    ledger = table.ledger(clock, announce=Told())
    yield Stage(ledger, clock, never)
    await must_add_up(ledger)
    await ledger.close()


async def pull(
    ledger: Any,
    name: str,
    most: int = 1,
    worker: str = "w",
    types: tuple[str, ...] = ("default",),
    lease: int = LEASE,
) -> Pulled:
    known_by = f"{PULLED}{name}."
    tokens = [f"{known_by}{number:03}" for number in range(most)]
    named = dict.fromkeys(types, Limits())
    wanted = Claim(worker, tokens, named, LIMITS, claimant=Claimant.PULL)
    found: Pulled = await ledger.pull(Pull(wanted, "", lease, known_by, known_by))
    return found


def names(pulled: Pulled) -> list[str]:
    return [one.task_id for one in pulled.attempts]


async def broken_off(table: Table, stage: Stage, name: str, lease: int = LEASE) -> None:
    """A claim of which the first write is the last, that which writes it down or prolongs the
    lease; nothing starts."""
    client = CutOff(table.client, 1, applied=False)
    ledger = table.ledger(stage.clock, announce=Told(), client=client, retrying=at_once())
    with pytest.raises(LedgerUnavailable):
        await pull(ledger, name, lease=lease)
    await ledger.close()


async def lost(stage: Stage) -> None:
    """A task that has to run alone is due."""
    await stage.submit("a")
    await stage.lose((await pull(stage.ledger, "first", worker="v")).attempts[0])


async def test_what_the_sweep_has_put_off_is_found(stage: Stage) -> None:
    ledger = stage.ledger
    assert isinstance(ledger, CountedLedger)
    await lost(stage)
    await stage.submit("b")
    stage.clock.advance(7_200)
    assert await ledger.hint_overdue(10) == 2
    stage.clock.advance(61)
    assert await ledger.lone() == {"default": 7_261 * SECOND}
    assert names(await pull(ledger, "one")) == ["a"]
    assert names(await pull(ledger, "two", worker="v")) == ["b"]


@pytest.mark.parametrize("put_off", [False, True])
async def test_who_has_no_queue_finds_what_others_with_a_queue_have_submitted_or_put_off(
    table: Table, stage: Stage, put_off: bool
) -> None:
    await lost(stage)
    await stage.submit("b", "c")
    stage.clock.advance(7_200 if put_off else 30)
    assert isinstance(stage.ledger, CountedLedger)
    assert await stage.ledger.hint_overdue(10) == 3 * put_off
    elsewhere = table.ledger(stage.clock)
    assert list(await elsewhere.lone()) == ["default"]
    assert await elsewhere.due_in(None, claimant=Claimant.PULL) == 0
    assert names(await pull(elsewhere, "one")) == ["a"]
    assert names(await pull(elsewhere, "two", worker="v")) == ["b"]
    await elsewhere.enlist(Worker("local"), LEASE)
    [mine] = await elsewhere.claim(Claim("local", ("t-1",), None, LIMITS))
    assert mine.task_id == "c"
    await elsewhere.close()


async def test_a_claim_that_was_broken_off_gives_what_it_had_written_down(
    table: Table, stage: Stage
) -> None:
    await lost(stage)
    await broken_off(table, stage, "one")
    assert await stage.ledger.held("w") == []
    again = await pull(stage.ledger, "one")
    assert (names(again), again.alone, again.again) == (["a"], True, True)
    assert [one.token for one in again.attempts] == ["pone.000"]


async def test_what_a_claim_may_still_start_is_held(table: Table, stage: Stage) -> None:
    await lost(stage)
    await broken_off(table, stage, "one")
    await stage.submit("b")
    assert names(await pull(stage.ledger, "two")) == []
    assert names(await pull(stage.ledger, "other", worker="v")) == ["a"]
    assert names(await pull(stage.ledger, "two")) == ["b"]
    assert names(await pull(stage.ledger, "one")) == []


@pytest.mark.parametrize("name", ["one", "two"])
async def test_what_was_not_started_within_the_lease_never_is(
    table: Table, stage: Stage, name: str
) -> None:
    await lost(stage)
    await broken_off(table, stage, "one", 10 * SECOND)
    read = table.item("t#a", "task")
    stage.clock.advance(10)
    again = await pull(stage.ledger, name)
    assert (names(again), again.alone, again.again) == (["a"], True, False)
    now = table.item("t#a", "task")
    assert read is not None
    assert now is not None
    assert now["op"] != read["op"]


async def test_a_claim_that_comes_again_prolongs_the_lease_before_it_starts_anything(
    table: Table, stage: Stage
) -> None:
    await stage.submit("a")
    await broken_off(table, stage, "one", 10 * SECOND)
    stage.clock.advance(9)
    await broken_off(table, stage, "one", 10 * SECOND)
    stage.clock.advance(9)
    assert await stage.ledger.held(None) == []
    assert names(await pull(stage.ledger, "one")) == ["a"]


class Torn:
    """A client that reads a claim before another call writes it down, and the worker after that;
    `times` times, where both are asked for at once."""

    def __init__(self, client: Any, times: int) -> None:
        self._client = client
        self._times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_get_item(self, **asked: Any) -> Any:
        answer = self._client.batch_get_item(**asked)
        (items,) = answer["Responses"].values()
        left = [item for item in items if "given" not in item]
        if self._times and len(left) == 1 < len(items):
            self._times -= 1
            items[:] = left
        return answer


async def test_what_another_call_of_the_claim_gives_meanwhile_stays_the_workers(
    table: Table, stage: Stage
) -> None:
    ledger = table.ledger(stage.clock, announce=Told(), client=Torn(table.client, 1))
    await lost(stage)
    assert names(await pull(ledger, "one")) == ["a"]
    assert names(await pull(ledger, "one")) == ["a"]
    await stage.submit("b")
    assert names(await pull(ledger, "two")) == []
    await ledger.close()


async def test_what_was_not_started_for_long_never_is(table: Table, stage: Stage) -> None:
    await lost(stage)
    await broken_off(table, stage, "one")
    await stage.submit("b", type="mail")
    read = table.item("t#a", "task")
    stage.clock.advance(UNDER_WAY / SECOND)
    assert names(await pull(stage.ledger, "two", types=("mail",))) == ["b"]
    now = table.item("t#a", "task")
    assert read is not None
    assert now is not None
    assert now["op"] != read["op"]  # on which the start depends that did not come
    assert now == {**read, "op": now["op"]}
    assert names(await pull(stage.ledger, "one")) == []  # it holds b


async def test_who_waits_reads_past_nothing_that_is_due_much_later(
    table: Table, stage: Stage
) -> None:
    await stage.submit("soon", delay=3_600)
    await stage.submit("late", delay=8_000)
    entries = Entries(table.client)
    ledger = table.ledger(stage.clock, announce=Told(), client=entries)
    for claimant, due, read in ((Claimant.PULL, 3_600, 1), (Claimant.LOCAL, 3_600, 2)):
        entries.read = 0
        assert await ledger.due_in(["default"], claimant=claimant) == due * SECOND
        assert entries.read == read
    await ledger.close()


async def test_who_waits_looks_at_some_of_a_long_backlog(
    table: Table, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "LOOKED_AT", 2)
    for number in range(60):
        await stage.submit(f"t{number}", type="other")
    stage.clock.advance(1)
    await stage.submit("mine", type="mail")
    entries = Entries(table.client)
    ledger = table.ledger(stage.clock, announce=Told(), client=entries)
    shards = len(await partitions(ledger._calls, DUE))
    for alone, pages in ((False, 4), (True, 1)):
        entries.read = 0
        assert await ledger.due_in(["mail"], alone=alone, claimant=Claimant.PULL) is None
        assert (pages - 1) * 2 < entries.read <= pages * 2 * shards
    assert names(await pull(ledger, "one", types=("mail",))) == ["mine"]
    await ledger.close()


class Entries:
    """A client that counts the entries of indexes that it reads."""

    read = 0

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **asked: Any) -> Any:
        answer = self._client.query(**asked)
        self.read += len(answer["Items"]) if "IndexName" in asked else 0
        return answer


class Blind:
    """A client whose index does not know yet what workers run."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **asked: Any) -> Any:
        if asked["ExpressionAttributeValues"][":p"]["S"].startswith("held#"):
            return {"Items": []}
        return self._client.query(**asked)


async def test_no_index_says_what_a_worker_holds(table: Table, stage: Stage) -> None:
    ledger = table.ledger(stage.clock, announce=Told(), client=Blind(table.client))
    await lost(stage)
    solo = await pull(ledger, "one")
    await stage.submit("b", "c")
    assert (names(solo), solo.alone) == (["a"], True)
    assert names(await pull(ledger, "two")) == []
    assert names(await pull(ledger, "one")) == ["a"]
    assert await stage.succeed(solo.attempts[0])
    await stage.lose((await pull(ledger, "three", 2)).attempts[0])
    assert names(await pull(ledger, "four")) == []  # it holds c, and b has to run alone
    await ledger.close()


async def test_no_index_says_what_is_gone(table: Table, stage: Stage) -> None:
    ledger = table.ledger(stage.clock, announce=Told(), client=Blind(table.client))
    await stage.submit("a")
    transport = httpx.ASGITransport(create_app(ledger, Settings(), stage.clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        asked = {"claim": "claim-0123456789", "worker": "w", "types": ["default"]}
        ((mine,),) = (await api.post("/attempts/claim", json=asked)).json().values()
        beat = {"leaseSeconds": 60, "tokens": [mine["token"]]}
        assert (await api.post("/workers/w/extend", json=beat)).json() == {"gone": []}
    await ledger.close()


@pytest.mark.parametrize("turn", range(3))
async def test_claims_of_one_worker_at_once_give_what_runs_alone_alone(
    stage: Stage, turn: int
) -> None:
    await lost(stage)
    await stage.submit("b", "c")
    calls = [pull(stage.ledger, f"claim-{turn}-{number}") for number in range(3)]
    given = [one for one in await asyncio.gather(*calls) if one.attempts]
    assert [(names(one), one.alone) for one in given] == [(["a"], True)]


async def test_workers_that_claim_at_once_get_no_task_twice(stage: Stage) -> None:
    await stage.submit(*(f"t{number}" for number in range(8)))
    calls = [pull(stage.ledger, f"claim-{n}", 3, worker=f"w{n}") for n in range(4)]
    given = [name for one in await asyncio.gather(*calls) for name in names(one)]
    assert len(given) == len(set(given)) >= 6
    running = await stage.ledger.workers()
    assert sum(one.count for one in running) == len(given)
