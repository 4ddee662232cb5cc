"""Steps: recorded by the running attempt alone, each name once, until a redrive forgets it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from tests.conformance.stage import Stage
from unlost import effects
from unlost.effects import (
    MAX_FORGET,
    MAX_FORGOTTEN,
    MAX_NAME,
    MAX_NAMES,
    MAX_RESULT,
    MAX_STEPS,
    SECRET,
    Effects,
    Forget,
    Recorded,
    Step,
    TooManyForgotten,
    effect_key,
)
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.protocol import Ledger, Refused, StepsStand
from unlost.ledger.values import Claimed, NewStep, StepLook
from unlost.redrive import UNSAID, Named, Redrive, RedriveState
from unlost.task import State


async def record(ledger: Ledger, attempt: Claimed, name: str, result: str | None = "1") -> Recorded:
    return await ledger.record_step(NewStep(attempt.task_id, attempt.token, name, result))


async def look(ledger: Ledger, attempt: Claimed, name: str) -> StepLook:
    return await ledger.look_step(attempt.task_id, attempt.token, name)


async def running(stage: Stage, task_id: str = "a") -> Claimed:
    """A new task's first attempt."""
    await stage.submit(task_id)
    return await stage.run(task_id)


async def names(ledger: Ledger, task_id: str = "a") -> list[str]:
    return [step.name for step in await ledger.steps_of(task_id)]


async def test_a_recorded_step_is_seen_by_this_attempt_and_by_later_ones(
    stage: Stage, ledger: Ledger
) -> None:
    attempt = await running(stage)
    assert await look(ledger, attempt, "charge") == StepLook(True)
    stage.clock.advance(1)
    assert await record(ledger, attempt, "charge", '{"id": 7}') is Recorded.KEPT
    step = Step("charge", 1, stage.clock.now, True, '{"id": 7}')
    assert await look(ledger, attempt, "charge") == StepLook(True, step)
    assert await look(ledger, attempt, "mail") == StepLook(True)
    await stage.retry(attempt)
    again = await stage.run("a")
    assert await look(ledger, again, "charge") == StepLook(True, step)
    stage.clock.advance(1)
    await record(ledger, again, "mail", "null")
    assert await ledger.steps_of("a", results=True) == [
        step, Step("mail", 2, stage.clock.now, True, "null")
    ]  # fmt: skip
    assert [step.result for step in await ledger.steps_of("a")] == [None, None]
    assert await ledger.steps_of("nobody") == []


async def test_first_steps_that_come_at_once_are_recorded_as_one_after_the_other(
    stage: Stage, ledger: Ledger
) -> None:
    """As if each saw what the one before it has left, of its own task and of no other."""
    one, other = await running(stage, "a"), await running(stage, "b")
    stale = replace(other, token="stale")
    big = f'"{"x" * (MAX_RESULT - 2)}"'
    many = [record(ledger, one, f"n{number}", big) for number in range(17)]
    twice = [record(ledger, other, "charge", result) for result in ("1", "2")]
    *kept, first, second, neither = await asyncio.gather(*many, *twice, record(ledger, stale, "s"))
    assert sorted(kept) == sorted([Recorded.KEPT] * 16 + [Recorded.NOT_KEPT])
    assert sorted((first, second)) == sorted((Recorded.KEPT, Recorded.ANOTHER))
    assert neither is Recorded.NOT_RUNNING
    assert len(await names(ledger, "a")) == 17
    [charge] = await ledger.steps_of("b", results=True)
    assert charge.result == ("1" if first is Recorded.KEPT else "2")


async def test_only_the_running_attempt_records_and_looks(stage: Stage, ledger: Ledger) -> None:
    attempt = await running(stage)
    await stage.submit("b")
    other = await stage.run("b")
    assert await ledger.look_step("b", attempt.token, "charge") == StepLook(False)
    assert await ledger.record_step(NewStep("b", attempt.token, "x", "1")) is Recorded.NOT_RUNNING
    assert await record(ledger, other, "charge") is Recorded.KEPT
    await stage.lose(attempt)
    assert await look(ledger, attempt, "charge") == StepLook(False)
    assert await record(ledger, attempt, "charge") is Recorded.NOT_RUNNING
    await stage.run("a")
    assert await record(ledger, attempt, "charge") is Recorded.NOT_RUNNING
    assert await look(ledger, attempt, "charge") == StepLook(False)
    assert await names(ledger) == []
    await ledger.cancel("b", None, None)
    assert await record(ledger, other, "mail") is Recorded.NOT_RUNNING
    assert await names(ledger, "b") == ["charge"]


async def test_none_is_recorded_after_the_settlement(stage: Stage, ledger: Ledger) -> None:
    attempt = await running(stage)
    await record(ledger, attempt, "charge")
    await stage.succeed(attempt)
    assert await record(ledger, attempt, "mail") is Recorded.NOT_RUNNING
    assert await record(ledger, attempt, "charge") is Recorded.NOT_RUNNING
    assert await look(ledger, attempt, "charge") == StepLook(False)
    assert await names(ledger) == ["charge"]


async def test_a_name_is_recorded_once(stage: Stage, ledger: Ledger) -> None:
    attempt = await running(stage)
    at = stage.clock.now
    assert await record(ledger, attempt, "charge", "1") is Recorded.KEPT
    stage.clock.advance(1)
    assert await record(ledger, attempt, "charge", "1") is Recorded.KEPT
    assert await record(ledger, attempt, "charge", "2") is Recorded.ANOTHER
    assert await record(ledger, attempt, "charge", None) is Recorded.ANOTHER
    assert await ledger.steps_of("a", results=True) == [Step("charge", 1, at, True, "1")]


async def test_a_step_that_is_recorded_again_says_the_same_as_equal_json(
    stage: Stage, ledger: Ledger
) -> None:
    attempt = await running(stage)
    assert await record(ledger, attempt, "charge", '{"a":1,"b":[true,"é"]}') is Recorded.KEPT
    again = '{"b":[true,"\\u00e9"],"a":10e-1}'
    assert await record(ledger, attempt, "charge", again) is Recorded.KEPT
    for other in ('{"a":1,"b":[1,"é"]}', '{"a":1}', "null", None):
        assert await record(ledger, attempt, "charge", other) is Recorded.ANOTHER
    (step,) = await ledger.steps_of("a", results=True)
    assert step.result == '{"a":1,"b":[true,"é"]}'


async def test_what_cannot_be_kept_is_recorded_as_that(stage: Stage, ledger: Ledger) -> None:
    attempt = await running(stage)
    at = stage.clock.now
    fits, large = "1" * MAX_RESULT, '"' + "é" * (MAX_RESULT // 2) + '"'
    assert await record(ledger, attempt, "a", fits) is Recorded.KEPT
    assert await record(ledger, attempt, "b", large) is Recorded.NOT_KEPT
    assert await record(ledger, attempt, "c", None) is Recorded.NOT_KEPT
    assert await record(ledger, attempt, "c", "1") is Recorded.NOT_KEPT
    assert await ledger.steps_of("a", results=True) == [
        Step("a", 1, at, True, fits), Step("b", 1, at, False), Step("c", 1, at, False)
    ]  # fmt: skip
    assert await look(ledger, attempt, "b") == StepLook(True, Step("b", 1, at, False))


async def test_all_results_of_a_task_are_bounded_together(stage: Stage, ledger: Ledger) -> None:
    attempt = await running(stage)
    most = '"' + "é" * (MAX_RESULT // 2 - 1) + '"'
    for number in range(16):
        assert await record(ledger, attempt, f"n{number}", most) is Recorded.KEPT
    assert await record(ledger, attempt, "more", "1") is Recorded.NOT_KEPT
    await stage.submit("b")
    assert await record(ledger, await stage.run("b"), "more", "1") is Recorded.KEPT
    await stage.die(attempt)
    await ledger.redrive("a", None, None, forget=("n3", "more"))
    attempt = await stage.run("a")
    assert await record(ledger, attempt, "more", most) is Recorded.KEPT
    assert await record(ledger, attempt, "n3", "1") is Recorded.NOT_KEPT


async def test_a_task_has_so_many_steps_and_no_more(
    stage: Stage, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = MAX_STEPS
    if isinstance(ledger, DynamoLedger):  # no statement of it knows the bound, and it is slow
        most = 20
        monkeypatch.setattr(effects, "MAX_STEPS", most)
    attempt = await running(stage)
    for number in range(most):
        assert await record(ledger, attempt, f"n{number}") is Recorded.KEPT
    assert await record(ledger, attempt, "more") is Recorded.NOT_KEPT
    assert await record(ledger, attempt, "n7") is Recorded.KEPT
    assert len(await names(ledger)) == most + 1


async def test_of_a_task_with_very_many_names_no_more_are_recorded(
    stage: Stage, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, together = MAX_NAMES, 50
    if isinstance(ledger, DynamoLedger):  # no statement of it knows the bound, and it is slow
        most, together = 20, 1
        for bound in ("MAX_STEPS", "MAX_NAMES"):
            monkeypatch.setattr(effects, bound, most)
    attempt = await running(stage)
    for first in range(0, most, together):
        some = range(first, first + together)
        new = (record(ledger, attempt, f"n{number}", None) for number in some)
        assert {*await asyncio.gather(*new)} == {Recorded.NOT_KEPT}
    for _ in range(2):
        assert await record(ledger, attempt, "more") is Recorded.NOT_KEPT
    assert await look(ledger, attempt, "more") == StepLook(True)
    assert await record(ledger, attempt, "n7") is Recorded.NOT_KEPT
    assert len(await names(ledger)) == most
    await stage.die(attempt)
    await ledger.redrive("a", None, None, forget=("n7",))
    attempt = await stage.run("a")
    assert await record(ledger, attempt, "more", None) is Recorded.NOT_KEPT
    assert await record(ledger, attempt, "n7", None) is Recorded.NOT_KEPT
    standing = [step.name for step in await ledger.steps_of("a") if step.stands]
    assert (len(standing), "more" in standing) == (most, True)


async def test_steps_survive_a_redrive_that_does_not_forget_them(
    stage: Stage, ledger: Ledger
) -> None:
    attempt = await running(stage)
    await record(ledger, attempt, "charge")
    await stage.die(attempt)
    await ledger.redrive("a", None, None)
    again = await stage.run("a")
    assert (await look(ledger, again, "charge")).step is not None
    assert again.effects is None


async def test_what_a_redrive_forgets_is_made_again(stage: Stage, ledger: Ledger) -> None:
    attempt = await running(stage)
    at = stage.clock.now
    for name in ("charge", "mail", "ship"):
        await record(ledger, attempt, name)
    await stage.die(attempt)
    forgot = stage.clock.advance(5)
    await ledger.redrive("a", None, None, forget=("mail", "never.made"))
    again = await stage.run("a")
    assert again.effects == Effects({"mail": 1, "never.made": 1})
    assert await look(ledger, again, "mail") == StepLook(True)
    assert (await look(ledger, again, "ship")).step is not None
    assert await ledger.steps_of("a", results=True) == [
        Step("charge", 1, at, True, "1"),
        Step("mail", 1, at, True, "1", forgot),
        Step("ship", 1, at, True, "1"),
    ]
    stage.clock.advance(1)
    assert await record(ledger, again, "mail", "2") is Recorded.KEPT
    assert (await ledger.steps_of("a", results=True))[-1] == Step(
        "mail", 2, stage.clock.now, True, "2"
    )


async def test_a_name_is_forgotten_as_often_as_it_was_said(stage: Stage, ledger: Ledger) -> None:
    attempt = await running(stage)
    await record(ledger, attempt, "charge")
    told: list[Forget] = [("mail",), True, ("charge",), ()]
    for forget in told:
        await stage.die(attempt)
        await ledger.redrive("a", None, None, forget=forget)
        attempt = await stage.run("a")
    assert attempt.effects == Effects({"charge": 2, "mail": 2})
    await stage.retry(attempt)
    assert (await stage.run("a")).effects == Effects({"charge": 2, "mail": 2})


async def test_a_new_payload_says_what_is_forgotten(stage: Stage, ledger: Ledger) -> None:
    attempt = await running(stage)
    await record(ledger, attempt, "charge")
    with pytest.raises(Refused):
        await ledger.redrive("a", None, None, '{"n":2}')
    await stage.die(attempt)
    with pytest.raises(StepsStand):
        await ledger.redrive("a", None, None, '{"n":2}')
    await ledger.redrive("a", None, None, '{"n":2}', forget=True)
    attempt = await stage.run("a")
    assert (attempt.payload, attempt.effects) == ('{"n":2}', Effects({"charge": 1}))
    await stage.die(attempt)
    await ledger.redrive("a", None, None, '{"n":3}')  # what was forgotten does not stand
    attempt = await stage.run("a")
    await record(ledger, attempt, "charge")
    await stage.die(attempt)
    await ledger.redrive("a", None, None, '{"n":4}', forget=())
    attempt = await stage.run("a")
    assert (attempt.payload, attempt.effects) == ('{"n":4}', Effects({"charge": 1}))
    assert (await look(ledger, attempt, "charge")).step is not None


async def test_a_redrive_with_a_payload_says_what_is_forgotten(
    stage: Stage, ledger: Ledger
) -> None:
    for task_id, named, taken in (
        ("a", Named(("a",), '{"n":2}', forget_unsaid=True), False),
        ("b", Named(("b",), '{"n":2}'), True),
        ("c", Named(("c",), '{"n":2}', forget_unsaid=True), True),
    ):
        attempt = await running(stage, task_id)
        if task_id != "c":
            await record(ledger, attempt, "charge")
        await stage.die(attempt)
        redrive, _ = await ledger.add_redrive(Redrive(task_id, named=True), named)
        for _ in range(4):
            redrive = await ledger.step_redrive(task_id)
        assert (redrive.redriven, redrive.left, redrive.gone) == (taken, not taken, 0)
        if taken:
            await stage.succeed(await stage.run(task_id))
            assert (await ledger.step_redrive(task_id)).state is RedriveState.DONE
        else:
            assert (redrive.state, redrive.why) == (RedriveState.STOPPED, UNSAID)
            assert (await stage.record(task_id)).state is State.DEAD
            assert not redrive.open


async def test_a_redrive_of_many_forgets_names(stage: Stage, ledger: Ledger) -> None:
    for task_id in ("a", "b", "c"):
        attempt = await running(stage, task_id)
        if task_id != "c":
            await record(ledger, attempt, "charge")
            await record(ledger, attempt, "mail")
        await stage.die(attempt)
    new = Redrive("all", canary=0, tolerate=None)
    await ledger.add_redrive(new, Named(forget=("charge",)))
    for _ in range(4):
        await ledger.step_redrive("all")
    for task_id in ("a", "b", "c"):
        again = await stage.run(task_id)
        assert again.effects == Effects({"charge": 1})
        assert await look(ledger, again, "charge") == StepLook(True)
        assert ((await look(ledger, again, "mail")).step is not None) is (task_id != "c")
        await stage.release(again)


async def test_redrives_of_a_task_forget_so_many_names_and_no_more(
    stage: Stage, ledger: Ledger
) -> None:
    attempt = await running(stage)
    await record(ledger, attempt, "charge")
    names = [f"{number:04}".ljust(MAX_NAME, "x") for number in range(MAX_FORGOTTEN)]
    for first in range(0, MAX_FORGOTTEN, MAX_FORGET):
        await stage.die(attempt)
        await ledger.redrive("a", None, None, forget=tuple(names[first : first + MAX_FORGET]))
        attempt = await stage.run("a")
    with pytest.raises(Refused):
        await ledger.redrive("a", None, None, forget=("more",))
    await stage.die(attempt)
    before = await stage.entry("a")
    told: list[Forget] = [("more",), (*names[:3], "charge"), True]
    for forget in told:
        with pytest.raises(TooManyForgotten):
            await ledger.redrive("a", None, None, '{"n":2}', forget=forget)
        assert await stage.entry("a") == before
    await ledger.redrive("a", None, None, forget=(names[0],))
    again = await stage.run("a")
    assert (again.effects or Effects()).forgotten == {**dict.fromkeys(names, 1), names[0]: 2}
    assert (await look(ledger, again, "charge")).step is not None


async def test_a_redrive_of_many_leaves_what_may_forget_no_more(
    stage: Stage, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "MAX_FORGOTTEN", 2)
    for task_id in ("a", "b", "c"):
        attempt = await running(stage, task_id)
        await stage.die(attempt)
        if task_id != "c":
            await ledger.redrive(task_id, None, None, forget=("charge", task_id))
            await stage.die(await stage.run(task_id))
    new = Redrive("all", canary=0, tolerate=None)
    await ledger.add_redrive(new, Named(forget=("charge", "b")))
    for _ in range(3):
        await ledger.step_redrive("all")
    redrive = await ledger.step_redrive("all")
    assert (redrive.selected, redrive.redriven, redrive.gone) == (3, 2, 1)
    assert (await stage.record("a")).state is State.DEAD
    assert (await stage.run("b")).effects == Effects({"b": 2, "charge": 2})
    assert (await stage.run("c")).effects == Effects({"b": 1, "charge": 1})


async def test_what_was_forgotten_twice_was_forgotten_at_first(
    stage: Stage, ledger: Ledger
) -> None:
    attempt = await running(stage)
    await record(ledger, attempt, "charge")
    forgot = []
    for _ in range(2):
        await stage.die(attempt)
        forgot.append(stage.clock.advance(5))
        await ledger.redrive("a", None, None, forget=("charge",))
        attempt = await stage.run("a")
    assert [one.forgotten_at for one in await ledger.steps_of("a")] == [forgot[0]]
    await record(ledger, attempt, "charge")
    assert [one.forgotten_at for one in await ledger.steps_of("a")] == [None]
    await stage.die(attempt)
    forgot.append(stage.clock.advance(5))
    await ledger.redrive("a", None, None, forget=True)
    assert [one.forgotten_at for one in await ledger.steps_of("a")] == [forgot[2]]


async def test_the_secret_is_the_ledgers_own_and_stays(stage: Stage, ledger: Ledger) -> None:
    secret = await ledger.effect_secret()
    assert (len(secret), len(set(secret)) > 8) == (SECRET, True)
    another = await stage.another()
    assert await another.effect_secret() == secret
    assert effect_key(secret, "a", 1) != effect_key(secret, "a", 2)


async def test_looks_at_the_same_moment_are_each_answered(stage: Stage, ledger: Ledger) -> None:
    attempt = await running(stage)
    await record(ledger, attempt, "s1", "1")
    await stage.submit("b")
    stale = replace(await stage.run("b"), token="nobody's")
    calls = [look(ledger, attempt, f"s{number}") for number in range(20)]
    cancelled = asyncio.ensure_future(look(ledger, attempt, "s1"))
    later = asyncio.gather(*calls, look(ledger, stale, "s1"))
    await asyncio.sleep(0)
    cancelled.cancel()
    *found, over = await later
    assert [one.step is not None for one in found] == [number == 1 for number in range(20)]
    assert (over, {one.running for one in found}) == (StepLook(False), {True})
