"""The account of a soak finds each thing that could be wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.soak.account import wrong
from tests.soak.evidence import Effect, Effects, Evidence, Told
from unlost.task import Attempt, Outcome, Record, State, TaskError

Harm = Callable[[Evidence], object]


def record(task_id: str, state: State, *outcomes: Outcome, result: str | None = None) -> Record:
    """A task with these attempts, each of which took a second."""
    attempts = tuple(
        Attempt(number, 10 * number, 10 * number + 5, outcome)
        for number, outcome in enumerate(outcomes, 1)
    )
    why = TaskError("ValueError", "no") if state is State.DEAD else None
    count = sum(outcome is not Outcome.RELEASED for outcome in outcomes)
    return Record(
        task_id, "waits", state, 0, b"d", 1, 99, None, 2, 20.0, count, 0, why, None, "{}", result,
        attempts,
    )  # fmt: skip


@pytest.fixture
def evidence() -> Evidence:
    """A soak of three tasks in which all is well."""
    failed, result = Outcome.FAILED, '{"number":2,"nonce":"b"}'
    tasks = [
        record("good", State.SUCCEEDED, Outcome.LOST, Outcome.SUCCEEDED, result=result),
        record("dead", State.DEAD, failed, Outcome.RELEASED, failed, failed),
        record("gone", State.CANCELLED),
    ]
    return Evidence(
        {task.task_id: task for task in tasks},
        Effects(
            {
                ("good", 1): [Effect("a", 11)], ("good", 2): [Effect("b", 21)],
                ("dead", 1): [Effect("c", 11)], ("dead", 3): [Effect("d", 31)],
                ("dead", 4): [Effect("e", 41)],
            },
            {("good", 2): [Effect("b", 23)]},
            {("dead", number): [Effect("c", 13)] for number in (1, 3, 4)},
        ),
        Told({name: Counter({202: 1}) for name in ("good", "dead", "gone")},
             {"gone": Counter({200: 1})}),
        Counter({"dead": 1}),
        Counter({"good": 1}),
    )  # fmt: skip


def test_a_soak_in_which_all_is_well_has_no_fault(evidence: Evidence) -> None:
    assert wrong(evidence) == []


def alter(name: str, **changes: object) -> Harm:
    def harm(evidence: Evidence) -> None:
        evidence.records[name] = replace(evidence.records[name], **changes)

    return harm


def outcome(name: str, number: int, outcome: Outcome) -> Harm:
    def harm(evidence: Evidence) -> None:
        attempts = list(evidence.records[name].attempts)
        attempts[number - 1] = replace(attempts[number - 1], outcome=outcome)
        alter(name, attempts=tuple(attempts))(evidence)

    return harm


def one_more_attempt(evidence: Evidence) -> None:
    task = record("dead", State.DEAD, *[Outcome.FAILED] * 4)
    evidence.records["dead"] = task
    evidence.effects.started["dead", 2] = [Effect("x", 21)]
    evidence.effects.raised["dead", 2] = [Effect("x", 21)]


HARM: dict[str, tuple[Harm, str]] = {
    "an acknowledged task is gone": (
        lambda it: it.told.submit.update(other=Counter({200: 1})), "acknowledged, and not there"
    ),
    "a task was new twice": (
        lambda it: it.told.submit["good"].update({202: 1}), "accepted as new 2 times"
    ),
    "a task from nowhere": (lambda it: it.told.submit.pop("good"), "nobody was told so"),
    "a cancel that did not hold": (
        lambda it: it.told.cancel.update(dead=Counter({200: 1})), "told that it is cancelled"
    ),
    "a task that hangs": (alter("gone", state=State.RETRYING), "retrying for ever"),
    "an attempt that ran twice": (
        lambda it: it.effects.started["good", 1].append(Effect("z", 12)), "ran 2 times"
    ),
    "an attempt that ran before it was recorded": (
        lambda it: it.effects.started.update({("good", 1): [Effect("a", 9)]}), "before it was rec"
    ),
    "an attempt that is not recorded": (
        lambda it: it.effects.started.update({("gone", 1): [Effect("a", 9)]}), "is not recorded"
    ),
    "a success without an effect": (
        lambda it: it.effects.returned.clear(), "succeeded without an effect"
    ),
    "a failure without one": (lambda it: it.effects.raised.clear(), "did not raise"),
    "a stale attempt that decided": (
        outcome("good", 1, Outcome.SUCCEEDED), "attempts [1, 2] of 2 succeeded"
    ),
    "the result of another attempt": (
        alter("good", result='{"number":1,"nonce":"a"}'), "and attempt 2 gave b"
    ),
    "a result of a dead task": (alter("dead", result="1"), "is dead and has a result"),
    "a death without a failure": (outcome("dead", 4, Outcome.RELEASED), "that was released"),
    "an attempt too many": (one_more_attempt, "had 4 attempts of 3"),
    "a task that was given up early": (alter("dead", max_retries=3), "was given up before"),
    "a death that nobody told": (lambda it: it.reports.clear(), "and 0 deaths are in the log"),
    "a death that never was": (lambda it: it.reports.update(good=1), "and never was"),
    "a loss that never was": (lambda it: it.lost.update(dead=1), "lost 0 attempts, and 1"),
}  # fmt: skip


@pytest.mark.parametrize(("harm", "fault"), HARM.values(), ids=HARM)
def test_what_is_wrong_is_found(evidence: Evidence, harm: Harm, fault: str) -> None:
    harm(evidence)
    assert fault in "\n".join(wrong(evidence))
