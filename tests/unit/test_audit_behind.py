"""The audit of a ledger whose counters follow its records: patient, and no less strict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tests.conformance.stage import Clock
from tests.unit.breakable import Breakable
from unlost.audit import Audit, audit
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import MINUTE, Cohorts, Counts, Submitted, Verdict
from unlost.task import SECOND, Micros, State, Submission

LAG: Micros = 120 * SECOND
DAY = 86_400


class Late(MemoryLedger):
    """A ledger in memory that tells what its counters were `behind` microseconds ago."""

    def __init__(self, clock: Clock, behind: Micros = 0) -> None:
        super().__init__(clock)
        self.behind = behind
        self.accepted: Counter[int] = Counter()
        self._past: list[tuple[Micros, Counts, Counter[int]]] = []

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        answers = await super().submit(submissions)
        for answer in answers:
            self.accepted[answer.submitted_at // MINUTE] += answer.verdict is Verdict.ACCEPTED
        return answers

    async def keep(self) -> None:
        """What is counted now will be told later."""
        self._past.append((self._now(), await super().counts(), self.accepted.copy()))

    async def _told(self) -> tuple[Micros, Counts, Counter[int]]:
        await self.keep()
        seen = [past for past in self._past if past[0] <= self._now() - self.behind]
        return seen[-1] if seen else (0, await MemoryLedger(self._now).counts(), Counter())

    async def counts(self) -> Counts:
        return (await self._told())[1]

    async def cohorts(self) -> Cohorts:
        _, _, accepted = await self._told()
        return Cohorts(dict(accepted), self._last_submit // MINUTE, LAG)


class Scene(Breakable):
    """A late ledger, and time that passes only while the audit sleeps, with `traffic` in it."""

    def __init__(self, behind: Micros = 0) -> None:
        clock = Clock()
        self.late = Late(clock, behind)
        super().__init__(self.late, clock)
        self.traffic: Callable[[], Awaitable[object]] | None = None
        self.slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.clock.advance(seconds)
        if self.traffic is not None:
            await self.traffic()
        await self.late.keep()

    async def audit(self) -> Audit:
        return await audit(self.ledger, self.sleep)

    def vanish(self, task_id: str) -> None:
        """A record is gone, and its state counted down, as by a stream."""
        state = self.late._tasks.pop(task_id).record.state
        self.late._states[state] -= 1
        self.late._waiting.pop(task_id, None)

    async def busy(self) -> None:
        """Somebody submits, and somebody works."""
        await self.submit(f"new{self.slept}")
        for attempt in await self.claim(1):
            await self.succeed(attempt)


async def filled(behind: Micros = 0) -> Scene:
    """A few tasks, in two minutes."""
    scene = Scene(behind)
    await scene.submit("a", "b")
    await scene.bury("c")
    scene.clock.advance(90)
    await scene.submit("d", "e")
    await scene.succeed(await scene.run("d"))
    return scene


async def test_where_all_is_counted_nobody_waits() -> None:
    scene = await filled()
    found = await scene.audit()
    assert (found.ok, found.accepted, found.lost, scene.slept) == (True, 5, 0, 0)
    assert found.states[State.SUCCEEDED] == found.states[State.DEAD] == 1


@pytest.mark.parametrize("behind", [1, 10, 100])
async def test_counters_that_are_behind_are_waited_for(behind: int) -> None:
    scene = await filled(behind * SECOND)
    found = await scene.audit()
    assert found.violations == []
    assert (found.accepted, found.lost) == (5, 0)
    assert behind <= scene.slept < LAG / SECOND + 60


@pytest.mark.parametrize("behind", [0, 3, 20])
async def test_live_traffic_makes_no_false_alarm_though_the_counters_are_behind(
    behind: int,
) -> None:
    scene = await filled(behind * SECOND)
    scene.traffic = scene.busy
    for _ in range(20):
        found = await scene.audit()
        assert found.violations == []
        assert found.lost == 0
        await scene.sleep(7)


async def test_a_lost_task_is_found_beside_live_traffic() -> None:
    scene = await filled(5 * SECOND)
    scene.traffic = scene.busy
    scene.vanish("a")
    found = await scene.audit()
    assert (found.ok, found.lost) == (False, 1)
    (violation,) = found.violations
    assert violation.promise == "nothing is lost"
    assert violation.detail == "of 2023-11-14T22:13Z, 3 were accepted, 2 are there"


async def test_while_a_loss_is_looked_at_again_what_moves_makes_no_false_alarm() -> None:
    scene = await filled(5 * SECOND)
    await scene.submit(*(f"more{number}" for number in range(40)))
    scene.vanish("a")

    async def work() -> None:
        for attempt in await scene.claim(1):
            await scene.succeed(attempt)

    scene.traffic = work
    found = await scene.audit()
    assert [item.promise for item in found.violations] == ["nothing is lost"]


async def test_a_task_lost_while_as_many_are_not_yet_counted_is_found() -> None:
    scene = await filled(DAY * SECOND)
    await scene.late.keep()
    scene.clock.advance(DAY)
    scene.late.behind = 30 * SECOND
    await scene.submit("f")
    scene.vanish("e")
    found = await scene.audit()
    assert (found.ok, found.lost) == (False, 1)


async def test_a_task_that_is_never_counted_is_found() -> None:
    scene = await filled()
    minute = min(scene.late.accepted)
    scene.late.accepted[minute] -= 1
    scene.late._accepted -= 1
    found = await scene.audit()
    assert (found.ok, found.lost) == (False, 0)
    assert [item.promise for item in found.violations] == ["what is accepted is counted"]
    assert scene.slept >= LAG / SECOND


async def test_a_wrong_count_of_a_state_is_found_once_all_stands_still() -> None:
    scene = await filled()
    scene.late._states[State.QUEUED] += 1
    scene.late._states[State.DEAD] -= 1
    found = await scene.audit()
    assert {item.promise for item in found.violations} == {"the counts of states are right"}
    assert scene.slept >= LAG / SECOND
    scene.traffic = scene.busy
    assert (await scene.audit()).ok


async def test_states_are_not_compared_across_what_came_since() -> None:
    scene = await filled()
    scene.clock.advance(3600)
    entries = scene.late.entries

    async def then_one_more(after: int, limit: int, room: int) -> object:
        page = await entries(after, limit, room)
        scene.clock.advance(60)
        await scene.submit(f"new{scene.clock.now}")
        return page

    scene.late.entries = then_one_more  # type: ignore[assignment, method-assign]
    found = await scene.audit()
    assert found.ok, found.violations


async def test_a_record_that_breaks_a_promise_is_named() -> None:
    scene = await filled(3 * SECOND)
    scene.write("a", state=State.SUCCEEDED)
    found = await scene.audit()
    promises = {item.promise for item in found.violations if item.task_id == "a"}
    assert "settled by exactly one attempt" in promises


async def test_a_count_that_never_was_right_does_not_hold_up_the_audit_for_ever() -> None:
    scene = await filled()
    scene.late.accepted[min(scene.late.accepted)] += 3
    scene.traffic = scene.busy
    found = await scene.audit()
    assert found.lost == 3
    assert scene.slept < 2 * LAG / SECOND
