"""The audit adds up what the records say, and raises no false alarm beside live traffic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.conformance.crowd import crowd
from tests.conformance.scheduling import kept, made, tick
from tests.conformance.stage import BOOM, Clock, Stage
from tests.unit.breakable import Breakable, breakable
from unlost import carried
from unlost.audit import FOLLOWED, LISTED, audit
from unlost.carried import Carried, Parent
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import ROOM, Counts, Entry, NewEffect
from unlost.ledger.walking import FIRST, MOST
from unlost.schedule.schedule import Missed, Schedule, Tick, task, tick_id
from unlost.task import SECOND, State


@pytest.fixture
async def stage() -> Breakable:
    return await breakable()


async def test_a_sound_ledger_passes(stage: Breakable) -> None:
    found = await audit(stage.ledger)
    assert found.violations == []
    assert found.ok
    assert (found.accepted, found.outstanding, found.lost) == (9, 4, 0)
    assert found.states == {
        State.QUEUED: 2,
        State.RUNNING: 1,
        State.RETRYING: 1,
        State.SUCCEEDED: 3,
        State.DEAD: 1,
        State.CANCELLED: 1,
    }


async def test_an_empty_ledger_passes() -> None:
    found = await audit(MemoryLedger(Clock()))
    assert found.ok
    assert found.states == dict.fromkeys(State, 0)


async def test_an_audit_reads_as_the_contract_says(stage: Breakable) -> None:
    stage.write("queued", digest=b"")
    found = msgspec.to_builtins(await audit(stage.ledger))
    assert found["ok"] is False
    assert found["violations"] == [
        {"taskId": "queued", "promise": "a replay can be told", "detail": "there is no digest"}
    ]


async def test_a_lost_task_is_found(stage: Breakable) -> None:
    del stage.inside._tasks["succeeded"]
    stage.inside._states[State.SUCCEEDED] -= 1
    found = await audit(stage.ledger)
    assert (found.ok, found.lost) == (False, 1)
    assert [item.promise for item in found.violations] == ["nothing is lost"]
    assert found.violations[0].task_id is None


async def test_a_task_that_nobody_accepted_is_found(stage: Breakable) -> None:
    stage.inside._accepted -= 1
    found = await audit(stage.ledger)
    assert (found.ok, found.lost) == (False, -1)


async def test_a_wrong_count_of_a_state_is_found(stage: Breakable) -> None:
    stage.inside._states[State.QUEUED] += 1
    stage.inside._states[State.DEAD] -= 1
    found = await audit(stage.ledger)
    assert {item.promise for item in found.violations} == {"the counts of states are right"}
    assert sorted(item.detail for item in found.violations) == [
        "0 tasks counted as dead, 1 are",
        "3 tasks counted as queued, 2 are",
    ]


async def test_a_wrong_count_of_a_group_is_found(stage: Breakable) -> None:
    stage.inside.groups = no_groups  # type: ignore[method-assign]
    found = await audit(stage.ledger)
    assert [item.promise for item in found.violations] == ["the groups of dead letters are right"]
    assert found.violations[0].detail == f"0 dead letters counted under {BOOM.fingerprint}, 1 are"


async def no_groups(room: int = 0, types: Any = None) -> list[Any]:
    return []


async def test_a_large_ledger_is_read_to_its_end(stage: Breakable) -> None:
    ids = [f"t{number}" for number in range(2 * MOST)]
    await stage.submit(*ids)
    assert (await audit(stage.ledger)).accepted == 2 * MOST + 9
    stage.write(ids[-1], digest=b"")
    (violation,) = (await audit(stage.ledger)).violations
    assert violation.task_id == ids[-1]


async def test_a_wholly_broken_ledger_makes_no_endless_list(stage: Breakable) -> None:
    ids = [f"t{number}" for number in range(LISTED + 100)]
    await stage.submit(*ids)
    for task_id in ids:
        stage.write(task_id, digest=b"")
    found = await audit(stage.ledger)
    assert not found.ok
    assert len(found.violations) == LISTED


class Busy(MemoryLedger):
    """Lets `traffic` happen before each read of a page."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.traffic: list[Callable[[], Any]] = []

    async def entries(self, after: int, limit: int, room: int = ROOM) -> list[Entry]:
        if self.traffic:
            await self.traffic.pop(0)()
        return await super().entries(after, min(limit, 2), room)


async def test_live_traffic_makes_no_false_alarm() -> None:
    clock = Clock()
    ledger = Busy(clock)
    stage = Breakable(ledger, clock)
    await stage.submit("a", "b", "c", "d")
    await stage.bury("e", "f")

    async def submit() -> None:
        await stage.submit("new")

    async def succeed() -> None:
        clock.advance(1)
        await stage.succeed(await stage.run("d"))

    async def redrive() -> None:
        await stage.ledger.redrive("f", None, None)

    for steps in ([submit, succeed], [succeed_nothing, redrive, succeed_nothing]):
        ledger.traffic = list(steps)
        found = await audit(ledger)
        assert found.ok, found.violations
        assert found.lost == 0


async def succeed_nothing() -> None:
    """A moment in which nothing happens."""


async def test_an_exchange_that_leaves_the_sums_alone_makes_no_false_alarm() -> None:
    """One task was seen before it left a state, the other after it entered it."""
    clock = Clock()
    ledger = Busy(clock)
    stage = Breakable(ledger, clock)
    await stage.submit("a", "x", "y", "b")
    await stage.retry(await stage.run("a"), wait=5)
    second = await stage.run("b")

    async def exchange() -> None:
        clock.advance(5)
        await stage.run("a")
        await stage.retry(second)

    before = (await ledger.counts()).states
    ledger.traffic = [succeed_nothing, exchange]
    found = await audit(ledger)
    assert (await ledger.counts()).states == before
    assert found.states != before
    assert found.ok, found.violations


async def test_a_suspect_is_read_again_before_it_is_called_a_violation(stage: Breakable) -> None:
    """As where a store answers a read with what is about to be overwritten."""
    whole = stage.kept("queued").record
    stage.write("queued", digest=b"")
    reads: list[int] = []
    entries = stage.inside.entries

    async def heals(after: int, limit: int, room: int = ROOM) -> list[Entry]:
        page = await entries(after, limit, room)
        reads.append(limit)
        stage.kept("queued").record = whole
        return page

    stage.inside.entries = heals  # type: ignore[method-assign]
    assert (await audit(stage.ledger)).ok
    assert reads == [FIRST, 1]


async def test_what_is_accepted_meanwhile_is_left_to_the_next_audit(stage: Breakable) -> None:
    counts = stage.inside.counts
    snapshots: list[Counts] = []

    async def then_one_more() -> Counts:
        snapshots.append(await counts())
        await stage.submit(f"new{len(snapshots)}")
        return snapshots[-1]

    stage.inside.counts = then_one_more  # type: ignore[method-assign]
    found = await audit(stage.ledger)
    assert found.ok
    assert (found.accepted, found.lost) == (9, 0)


async def ticked(stage: Breakable) -> Schedule:
    """A schedule that has made two of its three times."""
    await made(stage, missed=Missed.SKIP, grace=15 * SECOND)
    stage.clock.advance(32)
    await tick(stage)
    return await kept(stage)


async def test_the_sums_of_schedules_are_told(stage: Breakable) -> None:
    await ticked(stage)
    await made(stage, "other")
    found = msgspec.to_builtins(await audit(stage.ledger))
    assert found["violations"] == []
    assert found["schedules"] == [
        {"id": "nightly", "due": 3, "made": 2, "skipped": 1},
        {"id": "other", "due": 0, "made": 0, "skipped": 0},
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"made": 1}, "3 times were due, 1 made and 1 skipped"),
        ({"due": 4}, "4 times were due, 2 made and 1 skipped"),
        ({"next": 1}, "its next time, 1970-01-01T00:00:00.000001Z, is not after its last"),
        ({"last_task": "gone"}, "its last task, gone, is not there"),
    ],
)
async def test_a_schedule_whose_sums_are_wrong_is_found(
    stage: Breakable, changes: dict[str, Any], said: str
) -> None:
    one = await ticked(stage)
    _, ticks = stage.inside._schedules["nightly"]
    stage.inside._schedules["nightly"] = replace(one, **changes), ticks
    details = [violation.detail for violation in (await audit(stage.ledger)).violations]
    assert f"schedule nightly: {said}" in details


async def test_ticks_that_are_twice_there_or_neither_made_nor_skipped_are_found(
    stage: Breakable,
) -> None:
    one = await ticked(stage)
    _, ticks = stage.inside._schedules["nightly"]
    stage.inside._schedules["nightly"] = one, (*ticks, ticks[-1], Tick(ticks[-1].time + 1))
    details = [violation.detail for violation in (await audit(stage.ledger)).violations]
    assert len(details) == 2
    assert "or neither" in details[0]
    assert "was counted after" in details[1]


async def test_two_tasks_of_one_tick_are_found(stage: Breakable) -> None:
    one = await ticked(stage)
    time = one.last.time if one.last else 0
    second = task(one, tick_id("nightly", time, 2), time)
    await stage.ledger.submit([second])
    violation, of_the_sum = (await audit(stage.ledger)).violations
    assert violation.task_id == second.task_id
    assert violation.promise == "no two tasks are of one tick"
    assert of_the_sum.detail.endswith("2 are counted as made, 3 tasks are of its times")


async def test_a_tick_whose_own_id_others_have_is_no_second(stage: Breakable) -> None:
    one = await made(stage)
    await stage.submit(tick_id("nightly", one.next or 0))
    stage.clock.advance(10)
    await tick(stage, choices={one.next or 0: 2})
    assert (await kept(stage)).last_task == tick_id("nightly", one.next or 0, 2)
    assert (await audit(stage.ledger)).ok


async def test_a_follow_up_whose_parent_did_not_succeed_by_that_attempt_is_found() -> None:
    for broken, detail in (
        (Parent("parent", 2), "its parent, parent, did not succeed by attempt 2"),
        (Parent("dead", 1), "its parent, dead, is dead"),
        (Parent("nobody", 1), "its parent, nobody, is not there"),
    ):
        clock = Clock()
        ledger = MemoryLedger(clock)
        await crowd(Stage(ledger, clock, _none))
        assert (await audit(ledger)).ok
        kept = ledger._tasks["follow-up"]
        kept.record = replace(kept.record, carried=carried.write(Carried(parent=broken)))
        found = {one.task_id: one.detail for one in (await audit(ledger)).violations}
        assert found.pop("follow-up") == detail
        assert set(found) <= {"parent"}


async def test_a_follow_up_that_is_missing_is_found() -> None:
    clock = Clock()
    ledger = MemoryLedger(clock)
    await crowd(Stage(ledger, clock, _none))
    kept = ledger._tasks["follow-up"]
    kept.record = replace(kept.record, carried=None)
    [found] = (await audit(ledger)).violations
    assert (found.task_id, found.promise) == ("parent", FOLLOWED)
    assert found.detail == "1 tasks followed from it, 0 are there"


async def test_an_effect_of_no_attempt_is_found() -> None:
    clock = Clock()
    ledger = MemoryLedger(clock)
    await crowd(Stage(ledger, clock, _none))
    await ledger.declare_effects([NewEffect("dead", 99, 1, "charged")])
    [found] = (await audit(ledger)).violations
    assert (found.task_id, found.promise) == ("dead", "effects are of attempts")


async def _none() -> MemoryLedger:
    return MemoryLedger(Clock())
