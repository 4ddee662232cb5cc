"""Workers that claim by the API: their claims may come twice, and their leases are all we see."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec.structs import replace

from tests.conformance.stage import Stage
from unlost.ledger.protocol import AnotherCall, AnothersWorker, LeaseOver, Pulling
from unlost.ledger.values import BESIDE, PULLED, Claim, Claimed, Pull, Pulled, Verdict, Worker
from unlost.limits.control import Change, Claimant
from unlost.policy import Limits
from unlost.task import SECOND

LEASE = 10


def pulling(stage: Stage) -> Pulling:
    assert isinstance(stage.ledger, Pulling)
    return stage.ledger


async def pull(
    stage: Stage,
    claim: str,
    most: int = 1,
    *,
    worker: str = "w",
    types: tuple[str, ...] = ("default",),
    owner: str = "",
    timeout: float = 60.0,
    waits: bool = False,
    empties: bool = False,
    room: int | None = None,
) -> Pulled:
    """A claim by this name; the names of its types are a part of what its tokens begin with."""
    known_by = f"{PULLED}{claim}."
    prefix = f"{known_by}{'.'.join(types)}."
    tokens = [f"{prefix}{token}" for token in stage.tokens(most)]
    named = dict.fromkeys(types, Limits())
    wanted = Claim(worker, tokens, named, Limits(2, timeout), claimant=Claimant.PULL, room=room)
    lease = LEASE * SECOND
    asked = Pull(wanted, owner, lease, known_by, prefix, waits, empties)
    return await pulling(stage).pull(asked)


def names(pulled: Pulled) -> list[str]:
    return [one.task_id for one in pulled.attempts]


def by_token(*attempts: Claimed) -> dict[str, str]:
    return {one.token: one.task_id for one in attempts}


async def test_a_claim_that_comes_again_gives_the_same_attempts_as_far_as_they_run(
    stage: Stage,
) -> None:
    await stage.submit("a", payload='{"n":1.50}', key="k", carried='{"callbackUrl":"http://x"}')
    await stage.submit("b", "c", "d")
    first = await pull(stage, "one", 3)
    assert names(first) == ["a", "b", "c"]
    assert await stage.retry(first.attempts[1])
    again = await pull(stage, "one", 3)
    known = {one.token: one for one in first.attempts}
    for one in again.attempts:
        before = known[one.token]
        assert one.due_at is None
        assert (one.payload, one.key, one.carried) == (before.payload, before.key, before.carried)
        assert (one.number, one.spent, one.deadline, one.timeout, one.max_retries) == (
            before.number, before.spent, before.deadline, before.timeout, before.max_retries,
        )  # fmt: skip
        assert one.submitted_at == before.submitted_at
        assert one.started_at == before.started_at
    assert names(again) == ["a", "c"]
    assert sorted(names(await pull(stage, "two", 3))) == ["b", "d"]


async def test_once_all_that_a_claim_gave_has_ended_its_name_is_free(stage: Stage) -> None:
    await stage.submit("a")
    (first,) = (await pull(stage, "one")).attempts
    assert await stage.retry(first)
    (second,) = (await pull(stage, "one")).attempts
    assert (second.number, first.token != second.token) == (2, True)
    assert not await stage.succeed(first)
    assert await stage.succeed(second)


async def test_the_same_claim_twice_at_once_gives_the_same_attempts(stage: Stage) -> None:
    await stage.submit("a", "b", "c", "d")
    calls = await asyncio.gather(*(pull(stage, "one", 2) for _ in range(4)))
    assert len({tuple(sorted(names(call))) for call in calls}) == 1
    assert len(await stage.ledger.held("w")) == 2


async def test_another_worker_or_other_types_do_not_get_what_a_claim_gave(stage: Stage) -> None:
    await stage.submit("a", "b")
    await pull(stage, "one")
    for other in ({"worker": "v"}, {"types": ("default", "mail")}):
        with pytest.raises(AnotherCall):
            await pull(stage, "one", **other)
    assert await stage.ledger.held("v") == []
    assert len(await stage.ledger.held("w")) == 1


async def test_a_worker_belongs_to_the_key_that_first_named_it(stage: Stage) -> None:
    await stage.submit("a", "b")
    await pull(stage, "one", owner="mine")
    with pytest.raises(AnothersWorker):
        await pull(stage, "two", owner="other")
    with pytest.raises(AnothersWorker):
        await pulling(stage).prolong("w", "other", LEASE * SECOND)
    await pulling(stage).prolong("w", "mine", LEASE * SECOND)
    await stage.ledger.enlist(Worker("local"), LEASE * SECOND)
    with pytest.raises(AnothersWorker):
        await pull(stage, "two", worker="local")


async def test_a_claim_that_is_refused_gives_its_key_no_worker(stage: Stage) -> None:
    await stage.submit("a")
    await pull(stage, "one", owner="mine")
    with pytest.raises(AnotherCall):
        await pull(stage, "one", worker="v", owner="other")
    with pytest.raises(LeaseOver):
        await pull(stage, "two", worker="x", owner="other", waits=True)
    for free in ("v", "x"):
        assert names(await pull(stage, "three", worker=free, owner="mine")) == []


async def test_a_lease_that_is_over_is_not_prolonged(stage: Stage) -> None:
    ledger = pulling(stage)
    with pytest.raises(LeaseOver):
        await ledger.prolong("w", "", LEASE * SECOND)
    await stage.submit("a")
    (mine,) = (await pull(stage, "one")).attempts
    stage.clock.advance(LEASE - 1)
    await ledger.prolong("w", "", LEASE * SECOND)
    stage.clock.advance(LEASE - 1)
    assert await stage.ledger.held(None) == []
    stage.clock.advance(1)
    standing = {mine.token: "w"}  # nobody has taken it for lost
    assert await ledger.standing(by_token(mine)) == standing
    with pytest.raises(LeaseOver):
        await ledger.prolong("w", "", LEASE * SECOND)
    with pytest.raises(LeaseOver):
        await pull(stage, "two")
    assert [one.task_id for one in await stage.ledger.held(None)] == ["a"]
    assert await stage.lose(mine)
    assert (await pull(stage, "two")).alone


async def test_a_worker_without_a_lease_that_holds_nothing_may_claim_again(stage: Stage) -> None:
    await pull(stage, "one")
    stage.clock.advance(LEASE + 1)
    await stage.submit("a")
    assert names(await pull(stage, "one")) == ["a"]


@pytest.mark.parametrize("held", [False, True])
async def test_a_claim_that_waits_gives_a_worker_no_new_lease(stage: Stage, *, held: bool) -> None:
    if held:
        await stage.submit("a")
    await pull(stage, "one")
    stage.clock.advance(LEASE)
    await stage.submit("b")
    with pytest.raises(LeaseOver):
        await pull(stage, "two", waits=True)
    for mine in await stage.ledger.held("w"):
        assert await stage.lose(mine)
    await stage.ledger.dismiss("w", expired=True)
    with pytest.raises(LeaseOver):
        await pull(stage, "two", waits=True)
    assert await stage.ledger.workers() == []
    assert (await stage.record("b")).attempts == ()


async def test_a_claim_that_waits_prolongs_the_lease_only_with_what_it_gives(stage: Stage) -> None:
    await pull(stage, "one")
    stage.clock.advance(LEASE - 1)
    assert names(await pull(stage, "one", waits=True)) == []
    stage.clock.advance(0.5)
    await stage.submit("a")
    (mine,) = (await pull(stage, "one", waits=True)).attempts
    stage.clock.advance(LEASE - 0.5)
    assert await stage.ledger.held(None) == []
    assert names(await pull(stage, "one", waits=True)) == ["a"]
    stage.clock.advance(0.5)
    assert [one.token for one in await stage.ledger.held(None)] == [mine.token]


@pytest.mark.parametrize("limited", [False, True])
async def test_no_more_is_started_than_there_is_room_for(stage: Stage, *, limited: bool) -> None:
    if limited:
        await stage.ledger.change("default", Change(limit=100))
    await stage.submit("a", payload=json.dumps("ä" * 1_000, ensure_ascii=False))
    await stage.submit("b", "c", payload=json.dumps("x" * 2_000))
    await stage.submit("d")
    room = 2 * (2_002 + BESIDE)
    assert names(await pull(stage, "one", 10, room=room - 1)) == ["a"]
    assert names(await pull(stage, "two", 10, room=room)) == ["b", "c"]
    assert names(await pull(stage, "three", 10, room=1)) == ["d"]
    assert [one.number for one in (await stage.record("b")).attempts] == [1]


async def test_a_payload_that_was_edited_is_measured_as_it_is_now(stage: Stage) -> None:
    await stage.bury("a")
    await stage.ledger.redrive("a", "ann", None, payload=json.dumps("x" * 3_000))
    await stage.submit("b")
    stage.clock.advance(1)
    assert names(await pull(stage, "one", 10, room=3_000 + 2 * BESIDE)) == ["a"]


async def test_no_claim_shortens_the_lease_of_its_worker(stage: Stage) -> None:
    await stage.submit("a")
    (mine,) = (await pull(stage, "one")).attempts
    await pulling(stage).prolong("w", "", 3 * LEASE * SECOND)
    await pull(stage, "two")
    stage.clock.advance(3 * LEASE - 1)
    assert await stage.ledger.held(None) == []
    stage.clock.advance(1)
    assert [one.token for one in await stage.ledger.held(None)] == [mine.token]


async def test_what_was_lost_runs_alone_for_a_worker_that_holds_nothing(stage: Stage) -> None:
    await stage.submit("a", "b", "c", "d")
    (lost, other) = (await pull(stage, "one", 2, worker="v")).attempts
    busy = await pull(stage, "two", 1, worker="busy")
    assert (names(busy), busy.alone) == (["c"], False)
    assert await stage.lose(lost)
    assert await stage.succeed(other)
    assert names(await pull(stage, "three", 2, worker="busy")) == ["d"]

    await stage.submit("e")
    solo = await pull(stage, "four", 2)
    assert (names(solo), solo.alone) == (["a"], True)
    assert names(await pull(stage, "five", 2)) == []
    again = await pull(stage, "four", 2)
    assert (names(again), again.alone) == (["a"], True)
    assert await stage.succeed(solo.attempts[0])
    assert names(await pull(stage, "six", 2)) == ["e"]


async def test_a_worker_that_is_to_be_empty_is_given_nothing_before_it_is(stage: Stage) -> None:
    await stage.submit("a", "b", "c")
    (lost,) = (await pull(stage, "one", worker="v")).attempts
    (mine,) = (await pull(stage, "two")).attempts
    assert await stage.lose(lost)
    assert names(await pull(stage, "three", empties=True)) == []
    assert names(await pull(stage, "two", empties=True)) == ["b"]
    assert await stage.succeed(mine)
    solo = await pull(stage, "four", empties=True)
    assert (names(solo), solo.alone) == (["a"], True)
    assert names(await pull(stage, "five", worker="v", empties=True)) == ["c"]


async def test_for_how_long_what_must_run_alone_has_been_due(stage: Stage) -> None:
    ledger = pulling(stage)
    await stage.submit("a", "b", type="mail")
    await stage.submit("c", type="sms", key="k")
    given = (await pull(stage, "one", 3, types=("mail", "sms"))).attempts
    await stage.submit("other", type="mail")
    assert await ledger.lone() == {}
    for wait, one in zip((5, 1, 8), given, strict=True):
        assert await stage.lose(one, wait)
    assert await ledger.lone() == {}
    stage.clock.advance(4)
    assert await ledger.lone() == {"mail": 3 * SECOND}
    stage.clock.advance(6)
    due = {"mail": 9 * SECOND, "sms": 2 * SECOND}
    assert await ledger.lone() == due
    assert await stage.claim(1, types=("nobody",), alone=True) == []  # and all is ready
    assert await ledger.lone() == due
    await stage.ledger.change("mail", Change(limit=1))
    await stage.ledger.change("sms", Change(pull=True))
    assert await ledger.lone() == due
    assert names(await pull(stage, "two", types=("mail",))) == ["b"]
    assert await ledger.lone() == {"sms": 2 * SECOND}
    await stage.ledger.pause("sms", None, None)
    assert await ledger.lone() == {}


async def test_an_attempt_stands_while_it_runs_in_time(stage: Stage) -> None:
    ledger = pulling(stage)
    await stage.submit("a", "b", "c")
    one, two = (await pull(stage, "one", 2, timeout=LEASE - 2)).attempts
    (three,) = (await pull(stage, "two", timeout=LEASE - 2, worker="v")).attempts
    tokens = by_token(one, two, three) | {"unknown": "a"}
    workers = {one.token: "w", two.token: "w", three.token: "v"}
    assert await ledger.standing(tokens) == workers
    await stage.succeed(one)
    await stage.ledger.cancel("b", None, None)
    assert await ledger.standing(tokens) == {three.token: "v"}
    assert await ledger.standing({three.token: "a"}) == {}
    assert await ledger.overtime() == []
    stage.clock.advance(LEASE - 2)
    assert await ledger.standing(tokens) == {}
    (late,) = await ledger.overtime()
    assert (late.task_id, late.token, late.worker, late.left) == ("c", three.token, "v", 0)


async def test_what_was_moved_while_it_ran_is_timed_out_too(stage: Stage) -> None:
    await stage.submit("a")
    (given,) = (await pull(stage, "one")).attempts
    ((_, copy),) = await stage.ledger.copies(0, 1)
    moved = replace(copy, record=replace(copy.record, task_id="moved"), token=f"{given.token}2")
    assert await stage.ledger.restore([moved]) == [Verdict.ACCEPTED]
    stage.clock.advance(60)
    late = await pulling(stage).overtime()
    assert {one.token: one.task_id for one in late} == by_token(given) | {
        f"{given.token}2": "moved"
    }


async def test_what_other_workers_run_is_nobody_of_these_to_time_out(stage: Stage) -> None:
    await stage.submit("a")
    await stage.claim(1, limits=Limits(2, 1.0))
    stage.clock.advance(2)
    assert await pulling(stage).overtime() == []


async def test_limits_hold_for_what_is_pulled(stage: Stage) -> None:
    await stage.submit("a", "b", "c", type="mail")
    await stage.submit("d", type="fax")
    await stage.ledger.change("mail", Change(limit=1))
    pulled = await pull(stage, "one", 4, types=("mail", "fax"))
    assert sorted(names(pulled)) == ["a", "d"]
    assert names(await pull(stage, "two", 4, types=("mail", "fax"))) == []


async def test_a_worker_is_shown_with_the_types_that_it_named_last(stage: Stage) -> None:
    await pull(stage, "one", types=("fax",))
    await stage.submit("a")
    await pull(stage, "two", types=("default", "mail"))
    (shown,) = await stage.ledger.workers()
    assert shown.worker == Worker("w", ("default", "mail"), pull=True)
    assert shown.lease_until == stage.clock.now + LEASE * SECOND
    assert [one.task_id for one in shown.running] == ["a"]


async def test_workers_that_are_long_gone_are_struck_off(stage: Stage) -> None:
    for number in range(3):
        await pull(stage, f"claim-{number}", worker=f"w{number}", owner="mine")
        stage.clock.advance(2 * LEASE + 60)
    await pull(stage, "claim-0", worker="w0", owner="other")
