"""Redrives: begun once, taken step by step, each letter once, stopped and done as they must."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.conformance.stage import BOOM, OTHER, Stage
from unlost.ledger.protocol import UnknownRedrive
from unlost.ledger.values import RedriveQuery
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import SECOND, Act, Event, Micros, State

ALL = Redrive("all", canary=0, tolerate=None)
NOBODY = Named()


async def begin(stage: Stage, new: Redrive, named: Named = NOBODY) -> Redrive:
    """Begin a redrive and let it go as far as it can by itself."""
    await stage.ledger.add_redrive(replace(new, named=named.task_ids is not None), named)
    return await go_on(stage, new.id)


async def go_on(stage: Stage, redrive_id: str = "all") -> Redrive:
    """Let a redrive make steps until nothing comes of them."""
    before = None
    for _ in range(1_000):
        after = await stage.ledger.step_redrive(redrive_id)
        must_add_up(after)
        if after == before:
            return after
        before = after
    raise AssertionError("it makes steps for ever")


def must_add_up(redrive: Redrive) -> None:
    """Its sums hold."""
    assert redrive.under_way >= 0
    if redrive.left is not None:
        assert redrive.left >= 0


def sums(redrive: Redrive) -> dict[str, int | None]:
    """Its figures, without those that are 0."""
    figures = {
        "selected": redrive.selected,
        "redriven": redrive.redriven,
        "succeeded": redrive.succeeded,
        "diedAgain": redrive.died_again,
        "cancelled": redrive.cancelled,
        "gone": redrive.gone,
        "underWay": redrive.under_way,
        "left": redrive.left,
    }
    return {name: figure for name, figure in figures.items() if figure != 0}


async def bury_all(stage: Stage, *task_ids: str, type: str = "default") -> None:
    """Make new tasks dead letters, a second apart."""
    for task_id in task_ids:
        stage.clock.advance(1)
        await stage.bury(task_id, type=type)


async def states(stage: Stage, *task_ids: str) -> list[str]:
    return [(await stage.record(task_id)).state.value for task_id in task_ids]


async def due_times(stage: Stage, *task_ids: str) -> list[Micros | None]:
    return [(await stage.record(task_id)).due_at for task_id in task_ids]


async def test_it_takes_what_was_dead_when_it_began_oldest_death_first(stage: Stage) -> None:
    await bury_all(stage, "c", "a", "b")
    began = stage.clock.now
    new = replace(ALL, by="ann", reason="fixed", api_key="ops")
    first, fresh = await stage.ledger.add_redrive(new, NOBODY)
    assert (fresh, first.state, first.selected) == (True, RedriveState.RUNNING, None)
    assert (first.started_at, first.updated_at) == (began, began)
    await bury_all(stage, "late")
    redrive = await go_on(stage)
    assert sums(redrive) == {"selected": 3, "redriven": 3, "underWay": 3}
    assert await states(stage, "c", "a", "b", "late") == ["queued"] * 3 + ["dead"]
    history = (await stage.record("c")).history
    assert history == (Act(stage.clock.now, Event.REDRIVE, "ann", "fixed", "ops", redrive="all"),)


async def test_it_is_done_once_all_it_took_has_ended(stage: Stage) -> None:
    await bury_all(stage, "a", "b", "c")
    await begin(stage, ALL)
    await stage.succeed(await stage.run("a"))
    await stage.die(await stage.run("b"))
    redrive = await go_on(stage)
    assert redrive.state is RedriveState.RUNNING
    assert sums(redrive) == {
        "selected": 3, "redriven": 3, "succeeded": 1, "diedAgain": 1, "underWay": 1
    }  # fmt: skip
    now = stage.clock.advance(5)
    await stage.ledger.cancel("c", None, None)
    redrive = await go_on(stage)
    assert (redrive.state, redrive.updated_at, redrive.open) == (RedriveState.DONE, now, False)
    assert sums(redrive) == {
        "selected": 3, "redriven": 3, "succeeded": 1, "diedAgain": 1, "cancelled": 1
    }  # fmt: skip


async def test_what_dies_again_is_not_taken_again(stage: Stage) -> None:
    await bury_all(stage, *"abcde")
    await begin(stage, replace(ALL, limit=2))
    for task_id in "ab":
        await stage.die(await stage.run(task_id))
    assert (await go_on(stage)).state is RedriveState.DONE
    await begin(stage, replace(ALL, id="more"))
    assert [(await stage.record(name)).redrive_count for name in "abcde"] == [2, 2, 1, 1, 1]
    for _ in range(3):
        stage.clock.advance(1)
        for attempt in await stage.claim(10):
            await stage.die(attempt)
        await go_on(stage, "more")
    assert [(await stage.record(name)).redrive_count for name in "abcde"] == [2, 2, 1, 1, 1]


async def test_what_dies_again_at_the_moment_of_its_beginning_is_not_taken_again(
    stage: Stage,
) -> None:
    await bury_all(stage, *"abc")
    redrive = await begin(stage, Redrive("all", tolerate=5))
    for _ in range(5):
        for attempt in await stage.claim(10):
            await stage.die(attempt)
        redrive = await go_on(stage)
    assert redrive.state is RedriveState.DONE
    assert sums(redrive) == {"selected": 3, "redriven": 3, "diedAgain": 3}
    assert [(await stage.record(name)).redrive_count for name in "abc"] == [1, 1, 1]


async def test_a_canary_goes_first_and_then_never_more_than_have_succeeded(stage: Stage) -> None:
    names = [f"t{number}" for number in range(10)]
    await bury_all(stage, *names)
    redrive = await begin(stage, Redrive("all"))
    assert redrive.state == "canary"
    under_way = [redrive.under_way]
    while redrive.open:
        for attempt in await stage.claim(10):
            await stage.succeed(attempt)
        redrive = await go_on(stage)
        under_way.append(redrive.under_way)
    assert under_way == [1, 1, 2, 4, 2, 0]
    assert sums(redrive) == {"selected": 10, "redriven": 10, "succeeded": 10}


async def test_a_canary_that_dies_again_stops_it_and_what_is_left_stays_dead(stage: Stage) -> None:
    await bury_all(stage, *"abc")
    await begin(stage, Redrive("all"))
    await stage.die(await stage.run("a"))
    redrive = await go_on(stage)
    assert (redrive.state, redrive.why) == (RedriveState.STOPPED, "1 died again")
    assert sums(redrive) == {"selected": 3, "redriven": 1, "diedAgain": 1, "left": 2}
    assert await states(stage, *"abc") == ["dead"] * 3
    assert not redrive.open


async def test_so_many_may_die_again_as_it_tolerates(stage: Stage) -> None:
    await bury_all(stage, *"abcd")
    await begin(stage, Redrive("all", tolerate=1))
    await stage.die(await stage.run("a"))
    redrive = await go_on(stage)
    assert (redrive.state, redrive.under_way) == (RedriveState.CANARY, 1)
    await stage.die(await stage.run("b"))
    redrive = await go_on(stage)
    assert (redrive.state, redrive.died_again, redrive.left) == (RedriveState.STOPPED, 2, 2)


async def test_a_canary_that_does_not_end_stops_it_and_goes_on(stage: Stage) -> None:
    await bury_all(stage, *"abc")
    await begin(stage, Redrive("all", patience=60 * SECOND))
    stage.clock.advance(59)
    assert (await go_on(stage)).state is RedriveState.CANARY
    stage.clock.advance(1)
    redrive = await go_on(stage)
    assert (redrive.state, redrive.why) == (RedriveState.STOPPED, "no end of the canary in 60 s")
    assert (redrive.under_way, redrive.open) == (1, True)
    await stage.succeed(await stage.run("a"))
    redrive = await go_on(stage)
    assert sums(redrive) == {"selected": 3, "redriven": 1, "succeeded": 1, "left": 2}
    assert (redrive.state, redrive.open) == (RedriveState.STOPPED, False)


async def test_a_stop_leaves_what_is_under_way_and_may_come_again(stage: Stage) -> None:
    await bury_all(stage, *"abcd")
    await begin(stage, Redrive("all"))
    await stage.ledger.discard("c", None, None)
    now = stage.clock.advance(1)
    redrive = await stage.ledger.stop_redrive("all", "stopped by ann")
    assert (redrive.state, redrive.why, redrive.updated_at) == ("stopped", "stopped by ann", now)
    redrive = await go_on(stage)
    assert sums(redrive) == {"selected": 4, "redriven": 1, "gone": 1, "underWay": 1, "left": 2}
    assert await stage.ledger.stop_redrive("all", "stopped by bob") == redrive
    await stage.succeed(await stage.run("a"))
    redrive = await go_on(stage)
    assert (redrive.succeeded, redrive.why) == (1, "stopped by ann")
    assert await states(stage, *"abcd") == ["succeeded", "dead", "cancelled", "dead"]
    with pytest.raises(UnknownRedrive):
        await stage.ledger.stop_redrive("nobody", "stopped")


async def test_a_stop_before_it_is_counted_takes_nothing(stage: Stage) -> None:
    await bury_all(stage, *"ab")
    await stage.ledger.add_redrive(ALL, NOBODY)
    assert (await stage.ledger.stop_redrive("all", "stopped")).selected is None
    assert sums(await go_on(stage)) == {"selected": 2, "left": 2}
    assert await states(stage, *"ab") == ["dead"] * 2


async def test_what_others_took_is_gone(stage: Stage) -> None:
    await bury_all(stage, *"abcd")
    await begin(stage, Redrive("all"))
    await stage.ledger.redrive("b", None, None)
    await stage.ledger.discard("d", None, None)
    for attempt in await stage.claim(10):
        await stage.succeed(attempt)
    redrive = await go_on(stage)
    assert (redrive.redriven, redrive.succeeded, redrive.under_way) == (2, 1, 1)
    await stage.succeed(await stage.run("c"))
    redrive = await go_on(stage)
    assert sums(redrive) == {"selected": 4, "redriven": 2, "succeeded": 2, "gone": 2}
    assert redrive.state is RedriveState.DONE


async def test_what_died_again_and_was_taken_by_others_counts_as_died_again(stage: Stage) -> None:
    await bury_all(stage, *"ab")
    await begin(stage, ALL)
    for task_id in "ab":
        await stage.die(await stage.run(task_id))
    await stage.ledger.redrive("a", None, None)
    await stage.succeed(await stage.run("a"))
    await stage.ledger.discard("b", None, None)
    redrive = await go_on(stage)
    assert sums(redrive) == {"selected": 2, "redriven": 2, "diedAgain": 2}


async def test_selectors_mean_and(stage: Stage) -> None:
    await stage.bury("a", "b", type="mail", error=BOOM)
    await stage.bury("c", type="sms", error=BOOM)
    await stage.bury("d", "e", type="mail", error=OTHER)
    await stage.submit("f", type="mail")

    async def taken(new: Redrive, *task_ids: str) -> list[str]:
        named = Named(task_ids) if task_ids else NOBODY
        begun = await begin(stage, replace(new, canary=0, tolerate=None), named)
        assert begun.selected == begun.redriven
        history = {name: (await stage.record(name)).history for name in "abcdef"}
        return [name for name in "abcdef" if any(act.redrive == new.id for act in history[name])]

    assert await taken(Redrive("1", fingerprint=BOOM.fingerprint, type="sms")) == ["c"]
    named = ("e", "f", "b", "b", "nobody")
    assert await taken(Redrive("2", type="mail"), *named) == ["b", "e"]
    assert await taken(Redrive("3", fingerprint="no such")) == []
    assert await taken(Redrive("4", types=("sms",))) == []
    assert await taken(Redrive("5", types=())) == []
    assert await taken(Redrive("6", fingerprint=OTHER.fingerprint, types=("mail",))) == ["d"]
    assert await taken(Redrive("7", type="mail")) == ["a"]


async def test_a_named_one_may_get_another_payload(stage: Stage) -> None:
    await bury_all(stage, "a")
    await begin(stage, ALL, Named(("a",), '{"n": 2}'))
    assert (await stage.run("a")).payload == '{"n": 2}'


async def test_a_limit_bounds_what_is_selected(stage: Stage) -> None:
    await bury_all(stage, *"abcd")
    redrive = await begin(stage, replace(ALL, limit=3))
    assert sums(redrive) == {"selected": 3, "redriven": 3, "underWay": 3}
    assert await states(stage, *"abcd") == ["queued"] * 3 + ["dead"]


async def test_a_rate_spreads_the_starts_over_steps_and_a_reopening(stage: Stage) -> None:
    names = [f"t{number:02}" for number in range(12)]
    await bury_all(stage, *names)
    now = stage.clock.now
    redrive = await begin(stage, replace(ALL, interval=2 * SECOND))
    assert redrive.redriven == 6  # those that start within the next ten seconds
    stage.clock.advance(3)
    await stage.reopen()
    await go_on(stage)
    stage.clock.advance(9)
    assert (await go_on(stage)).redriven == 12
    assert await due_times(stage, *names) == [now + 2 * SECOND * turn for turn in range(len(names))]
    assert len(await stage.claim(20)) == 7


async def test_a_rate_has_nothing_to_catch_up_with(stage: Stage) -> None:
    await bury_all(stage, *"abc")
    await begin(stage, Redrive("all", interval=SECOND))
    stage.clock.advance(30)
    await stage.succeed(await stage.run("a"))
    await go_on(stage)
    assert await due_times(stage, "b") == [stage.clock.now]


async def test_never_more_than_a_thousand_are_under_way(stage: Stage) -> None:
    many = stage.many(1_100)
    await stage.submit(*(f"t{number:04}" for number in range(many)))
    for attempt in await stage.claim(many):
        await stage.die(attempt)
    redrive = await begin(stage, ALL)
    most = min(many, 1_000)
    assert (redrive.redriven, redrive.under_way) == (most, most)
    for attempt in (await stage.claim(60))[:50]:
        await stage.succeed(attempt)
    redrive = await go_on(stage)
    assert (redrive.redriven, redrive.succeeded) == (min(many, 1_050), 50)
    counts = await stage.ledger.counts()
    assert counts.states[State.DEAD] == many - redrive.redriven


async def test_the_same_id_begins_nothing_else(stage: Stage) -> None:
    await bury_all(stage, *"ab")
    first, fresh = await stage.ledger.add_redrive(replace(ALL, digest="one"), NOBODY)
    assert fresh
    await go_on(stage)
    again, fresh = await stage.ledger.add_redrive(replace(ALL, digest="two"), NOBODY)
    assert (fresh, again.digest) == (False, "one")
    assert again == await stage.ledger.get_redrive("all") != first
    assert await stage.ledger.get_redrive("nobody") is None
    with pytest.raises(UnknownRedrive):
        await stage.ledger.step_redrive("nobody")


async def test_they_are_listed_newest_first_and_counted(stage: Stage) -> None:
    await bury_all(stage, "a")
    for name in ("one", "two", "three", "four"):
        await begin(stage, replace(ALL, id=name))
        if name != "two":
            stage.clock.advance(1)
    listed = await stage.ledger.list_redrives(RedriveQuery())
    assert [one.id for one in listed] == ["four", "two", "three", "one"]
    after = (listed[0].started_at, listed[0].id)
    page = await stage.ledger.list_redrives(RedriveQuery(limit=1, after=after))
    assert page == [listed[1]]
    done = await stage.ledger.list_redrives(RedriveQuery(state=RedriveState.DONE))
    assert [one.id for one in done] == ["four", "two", "three"]
    assert await stage.ledger.open_redrives(10) == [(listed[3].started_at, "one")]
    assert await stage.ledger.count_redrives() == {RedriveState.RUNNING: 1, RedriveState.DONE: 3}


async def test_those_that_are_open_are_found_however_many(stage: Stage) -> None:
    await bury_all(stage, "a")
    for name in ("d", "c", "b", "a"):
        await begin(stage, replace(ALL, id=name, type="other" if name == "c" else None))
        await stage.ledger.add_redrive(replace(ALL, id=f"{name}-2"), NOBODY)
        stage.clock.advance(name == "d")
    first, second, *rest = every = await stage.ledger.open_redrives(100)
    assert [name for _, name in every] == ["d", "d-2", "a-2", "b-2", "c-2"]
    assert await stage.ledger.open_redrives(2) == [first, second]
    assert await stage.ledger.open_redrives(2, second) == rest[:2]
    assert await stage.ledger.open_redrives(2, rest[1]) == rest[2:]
    assert await stage.ledger.open_redrives(2, rest[2]) == []


async def test_those_that_ended_long_ago_are_purged(stage: Stage) -> None:
    await bury_all(stage, "a")
    await begin(stage, ALL)
    for name in ("one", "two", "three"):
        await begin(stage, replace(ALL, id=name))
    stage.clock.advance(10)
    assert await stage.ledger.purge_redrives(stage.clock.now - 10 * SECOND, 10) == 0
    assert await stage.ledger.purge_redrives(stage.clock.now, 2) == 2
    assert await stage.ledger.purge_redrives(stage.clock.now, 2) == 1
    assert [one.id for one in await stage.ledger.list_redrives(RedriveQuery())] == ["all"]
    assert (await stage.record("a")).history[-1].redrive == "all"
