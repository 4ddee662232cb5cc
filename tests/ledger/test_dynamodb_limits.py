"""Limits and breakers on one table for all processes: exact whoever races, nothing stays taken."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from msgspec.structs import replace

from tests.conformance.stage import BOOM, LEASE, Clock, Stage, ended, submission
from tests.ledger.dynamodb_steps import LIMITS, Told, by_id, never
from tests.ledger.faulty import CutOff, Meeting
from tests.ledger.patience import at_once
from tests.ledger.tables import CountedLedger, Table
from tests.ledger.test_dynamodb_races import Race, opened
from unlost.ledger.dynamodb.attempts.claiming_by_id import NotClaimed
from unlost.ledger.dynamodb.controls.controlling import KNOWN_FOR
from unlost.ledger.dynamodb.controls.slots import free
from unlost.ledger.dynamodb.schema import key_mark
from unlost.ledger.values import Claim, Claimed, Settled, Worker
from unlost.limits.breaker import Breaker, Phase
from unlost.limits.control import Change
from unlost.task import SECOND, Event, Outcome

BREAKER = Breaker(share=0.5, window=60 * SECOND, minimum=1, pause=30 * SECOND, probes=1)


def slots(table: Table) -> list[str]:
    """The slots that are taken, without their numbers."""
    keys = ((item["pk"]["S"], item["sk"]["S"]) for item in table.items())
    return sorted(sk.split("#")[0] for pk, sk in keys if pk.startswith("slots#"))


async def one_each(race: Race, *task_ids: str) -> Counter[type]:
    """What the racers answer that claim one of these tasks each."""
    answers = await asyncio.gather(
        *(
            ledger.claim_task(
                name, token=f"of {name}", worker="w", limits=None, defaults=LIMITS, lease=LEASE
            )
            for ledger, name in zip(race.ledgers, task_ids, strict=True)
        )
    )
    assert {one.reason for one in answers if isinstance(one, NotClaimed)} <= {"no_room"}
    return Counter(map(type, answers))


@pytest.mark.parametrize("change", [Change(limit=2), Change(key_limit=2)])
async def test_claims_by_id_that_race_never_start_more_than_the_limit(
    table: Table, change: Change
) -> None:
    race = await opened(table, 4)
    await race.watcher.change("mail", change)
    await race.stage.submit(*"abcd", type="mail", key="ann")
    assert await one_each(race, *"abcd") == {Claimed: 2, NotClaimed: 2}
    assert len(slots(table)) == 2
    await race.over()


async def test_claims_of_workers_that_race_start_as_many_as_the_limit(table: Table) -> None:
    race = await opened(table, 3)
    await race.watcher.change("mail", Change(limit=4, key_limit=3))
    await race.stage.submit(*"abcdefgh", type="mail", key="ann")
    await race.stage.submit("i", "j", type="mail", key="bob")
    for number in range(3):
        await race.watcher.enlist(Worker(f"w{number}"), LEASE)
    claims = (
        ledger.claim(Claim(f"w{at}", [f"t{at}-{n}" for n in range(4)], None, LIMITS))
        for at, ledger in enumerate(race.ledgers)
    )
    started = [one for answer in await asyncio.gather(*claims) for one in answer]
    assert len(started) <= 4
    started += await race.stage.claim(9)
    assert len(started) == 4
    keys = Counter([(await race.stage.record(one.task_id)).key for one in started])
    assert keys["ann"] <= 3
    await race.over()


async def test_no_more_probes_start_than_a_breaker_that_is_half_open_allows(table: Table) -> None:
    race = await opened(table, 3)
    await race.watcher.change("mail", Change(breaker=replace(BREAKER, probes=2)))
    await race.stage.submit(*"abcd", type="mail", max_retries=9)
    (failed,) = await race.stage.claim()
    await race.stage.retry(failed, wait=3600)
    race.clock.advance(30)
    assert await one_each(race, *"bcd") == {Claimed: 2, NotClaimed: 1}
    await race.over()


async def test_a_lowered_limit_holds_while_more_run_than_it_allows(table: Table) -> None:
    race = await opened(table, 2)
    await race.watcher.change("mail", Change(limit=4))
    await race.stage.submit(*"abcdef", type="mail")
    running = await race.stage.claim(4)
    await race.watcher.change("mail", Change(limit=2))
    for one in running[:3]:
        await race.stage.succeed(one)
    assert await one_each(race, "e", "f") == {Claimed: 1, NotClaimed: 1}
    await race.over()


@pytest.mark.parametrize(
    ("taken", "most", "expected"),
    [
        (set(), 3, [0, 1, 2]),
        ({1}, 3, [0, 2]),
        ({7}, 3, [0, 1]),
        ({7, 9}, 3, [0]),
        ({0, 7}, 2, []),
        ({5, 6, 7}, 2, []),
    ],
)
def test_a_number_above_the_limit_holds_one_below_back(
    taken: set[int], most: int, expected: list[int]
) -> None:
    assert free(taken, most) == expected


async def test_whoever_ends_an_attempt_tells_the_next_that_waits_for_its_room(
    table: Table,
) -> None:
    told, clock = Told(), Clock()
    ledger = table.ledger(clock, announce=told)
    stage = Stage(ledger, clock, never)
    await ledger.change("mail", Change(limit=3, key_limit=1))
    await stage.submit("a", "b", type="mail", key="ann")
    await stage.submit("c", "d", type="mail", key="cy", priority=1)
    first = await by_id(ledger, "a")
    assert await claim(ledger, "b") == NotClaimed("no_room", clock(), clock(), key_mark("ann"))
    assert isinstance(await claim(ledger, "c"), Claimed)
    told.hints.clear()
    await stage.succeed(first)
    assert [hint.task_id for hint in told.hints] == ["b"]  # not d, whose key has no room
    told.hints.clear()
    await ledger.cancel("c", None, None)
    assert [hint.task_id for hint in told.hints] == ["d"]  # the best of those that have room
    told.hints.clear()
    await ledger.hint_overdue(9)
    assert [hint.task_id for hint in told.hints] == ["d"]
    assert isinstance(await claim(ledger, "d"), Claimed)
    assert slots(table) == ["key", "type"]
    await ledger.close()


async def claim(ledger: CountedLedger, task_id: str) -> Claimed | NotClaimed:
    return await ledger.claim_task(
        task_id, token=f"of {task_id}", worker="f", limits=None, defaults=LIMITS, lease=LEASE
    )


async def test_what_runs_when_a_limit_is_set_counts_for_it(table: Table) -> None:
    clock = Clock()
    ledger = table.ledger(clock, announce=Told())
    stage = Stage(ledger, clock, never)
    await stage.submit("a", "b", "c", type="mail", key="ann")
    mine = await by_id(ledger, "a")
    (theirs,) = await stage.claim(1)
    await ledger.change("mail", Change(limit=2))
    await ledger.change("mail", Change(key_limit=2))
    assert slots(table) == ["key", "key", "type", "type"]
    assert isinstance(await claim(ledger, "c"), NotClaimed)
    assert await stage.succeed(mine)
    assert await stage.succeed(theirs)
    assert slots(table) == []
    assert isinstance(await claim(ledger, "c"), Claimed)
    await ledger.close()


async def test_a_slot_whose_attempt_is_over_is_given_back_when_the_limit_is_set_again(
    table: Table,
) -> None:
    clock = Clock()
    ledger = table.ledger(clock)
    stage = Stage(ledger, clock, never)
    await ledger.change("mail", Change(limit=1))
    await stage.submit("a", "b", type="mail")
    (a,) = await stage.claim(1)
    table.client.update_item(  # as code of a version that knows no slots would end it
        TableName=table.name,
        Key={"pk": {"S": "t#a"}, "sk": {"S": "task"}},
        UpdateExpression="REMOVE slots",
    )
    await stage.succeed(a)
    assert await stage.claim(1) == []
    await ledger.change("mail", Change(limit=2))
    await ledger.change("mail", Change(limit=1))
    assert slots(table) == []
    assert [one.task_id for one in await stage.claim(1)] == ["b"]
    await ledger.close()


async def test_another_process_goes_by_a_new_limit_five_seconds_later(table: Table) -> None:
    clock = Clock()
    ledger, other = table.ledger(clock), table.ledger(clock)
    await ledger.submit([submission(name, type="mail") for name in "ab"])
    assert await other.due_in(None) == 0
    await ledger.change("mail", Change(limit=1))
    assert isinstance(await claim(ledger, "a"), Claimed)
    clock.advance(KNOWN_FOR / SECOND)
    assert isinstance(await claim(other, "b"), NotClaimed)
    await ledger.close()
    await other.close()


async def test_a_settlement_holds_though_its_breaker_cannot_learn_of_it(table: Table) -> None:
    clock = Clock()
    ledger = table.ledger(clock)
    stage = Stage(ledger, clock, never)
    await ledger.change("mail", Change(breaker=BREAKER))
    await stage.submit("a", type="mail")
    (a,) = await stage.claim(1)
    cut = table.ledger(clock, client=CutOff(table.client, 1, applied=False), retrying=at_once())
    assert await cut.settle([ended(a, Outcome.FAILED, Event.RETRY, error=BOOM)]) == [Settled.HELD]
    (control,) = await ledger.controls()
    assert control.phase(clock()) is Phase.CLOSED
    await ledger.close()
    await cut.close()


async def test_a_breaker_learns_of_all_that_ends_at_the_same_moment(table: Table) -> None:
    clock, parties = Clock(), 4
    ledger = table.ledger(clock)
    stage = Stage(ledger, clock, never)
    await ledger.change("mail", Change(breaker=replace(BREAKER, minimum=99)))
    await stage.submit(*"abcd", type="mail")
    running = await stage.claim(parties)
    client = Meeting(table.client, parties)
    others = [table.ledger(clock, client=client) for _ in running]
    done = (ended(one, Outcome.SUCCEEDED, Event.SUCCEED) for one in running)
    await asyncio.gather(*(one.settle([end]) for one, end in zip(others, done, strict=True)))
    (control,) = await ledger.controls()
    assert [bucket.ended for bucket in control.circuit.buckets] == [parties]
    for one in (ledger, *others):
        await one.close()
