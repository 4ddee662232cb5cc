"""Each check of the audit is shown a ledger in which just what it guards is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.stage import BOOM
from tests.unit.breakable import Breakable, breakable
from unlost.audit import audit
from unlost.audit.promises import PROMISES, UNTIL_PURGED
from unlost.effects import Effect, Effects, Step
from unlost.task import Act, Attempt, Event, Outcome


@pytest.fixture
async def stage() -> Breakable:
    return await breakable()


Break = Callable[[Breakable], None]


def mark(task_id: str, **changes: Any) -> Break:
    """Write into the ledger's own marks."""

    def apply(stage: Breakable) -> None:
        for name, value in changes.items():
            setattr(stage.kept(task_id), name, value)

    return apply


def write(task_id: str, **changes: Any) -> Break:
    return lambda stage: stage.write(task_id, **changes)


def write_attempt(task_id: str, which: int, **changes: Any) -> Break:
    return lambda stage: stage.write_attempt(task_id, which, **changes)


def unlist(task_id: str) -> Break:
    """Hide a waiting task from every claim."""
    return lambda stage: stage.inside._waiting.__delitem__(task_id)


def enlist(task_id: str) -> Break:
    """Show claims a task that does not wait."""
    return lambda stage: stage.inside._waiting.__setitem__(task_id, stage.kept(task_id))


def again(task_id: str, outcome: Outcome | None) -> Break:
    """Add an attempt, counted."""

    def apply(stage: Breakable) -> None:
        record = stage.kept(task_id).record
        now = stage.clock.now
        finished_at = None if outcome is None else now
        added = Attempt(len(record.attempts) + 1, now, finished_at, outcome)
        stage.write(
            task_id,
            attempts=(*record.attempts, added),
            attempt_count=record.attempt_count + 1,
        )

    return apply


TWICE = {"once": Step("a", 1, 1), "twice": Step("a", 3, 2)}

BROKEN: list[tuple[str, str, Break]] = [
    ("a replay can be told", "queued", write("queued", digest=b"")),
    ("a token is held exactly while the task runs", "running", mark("running", token=None)),
    ("a token is held exactly while the task runs", "running", mark("running", worker=None)),
    ("a token is held exactly while the task runs", "dead", mark("dead", token="t")),
    ("a token is held exactly while the task runs", "queued", mark("queued", worker="w")),
    ("what waits can be claimed, and nothing else", "queued", unlist("queued")),
    ("what waits can be claimed, and nothing else", "retrying", unlist("retrying")),
    ("what waits can be claimed, and nothing else", "queued", write("queued", due_at=None)),
    ("what waits can be claimed, and nothing else", "succeeded", enlist("succeeded")),
    ("what waits can be claimed, and nothing else", "running", enlist("running")),
    ("dead letters are the dead tasks", "dead", mark("dead", dead_letter=None)),
    ("dead letters are the dead tasks", "succeeded", mark("succeeded", dead_letter=BOOM)),
    ("dead letters are the dead tasks", "redriven", mark("redriven", dead_letter=BOOM)),
    ("no more attempts than allowed", "retrying", write("retrying", max_retries=0)),
    ("no more attempts than allowed", "retrying", mark("retrying", spent=0)),
    ("no more attempts than allowed", "running", mark("running", spent=2)),
    ("no more attempts than allowed", "running", mark("running", spent=0)),
    ("no more attempts than allowed", "queued", mark("queued", spent=-1)),
    ("only what is over is purged", "dead", write("dead", purged_at=1)),
    ("only what is over is purged", "queued", write("queued", purged_at=1)),
    ("only what is over is purged", "succeeded", write("succeeded", purged_at=1)),
    (
        "a redrive takes each letter once",
        "redriven",
        write("redriven", redrive_count=2, history=(Act(1, Event.REDRIVE, redrive="one"),) * 2),
    ),
    ("attempts are numbered without gaps", "tried", write_attempt("tried", 2, number=7)),
    ("attempts are numbered without gaps", "tried", write_attempt("tried", 3, number=2)),
    ("attempts are counted", "tried", write("tried", attempt_count=3)),
    ("attempts are counted", "running", write("running", attempt_count=2)),
    ("attempts are counted", "dead", write("dead", attempt_count=0)),
    ("excused failures spend nothing", "retrying", write_attempt("retrying", 1, excused=True)),
    ("excused failures spend nothing", "succeeded", write_attempt("succeeded", 1, excused=True)),
    ("excused failures spend nothing", "dead", write_attempt("dead", 1, excused=True)),
    ("excused failures spend nothing", "queued", write("queued", excused_count=1)),
    ("excused failures spend nothing", "dead", write("dead", excused_count=1)),
    ("excused failures spend nothing", "dead", mark("dead", spent=0)),
    ("one attempt at a time", "retrying", again("retrying", None)),
    ("one attempt at a time", "cancelled", write_attempt("cancelled", 1, outcome=None)),
    ("one attempt at a time", "dead", write_attempt("dead", 1, finished_at=None)),
    ("one attempt at a time", "running", again("running", None)),
    ("one attempt at a time", "running", write("running", attempts=())),
    ("settled by exactly one attempt", "succeeded", again("succeeded", Outcome.SUCCEEDED)),
    ("settled by exactly one attempt", "succeeded", again("succeeded", Outcome.FAILED)),
    ("settled by exactly one attempt", "dead", again("dead", Outcome.SUCCEEDED)),
    (
        "settled by exactly one attempt",
        "tried",
        write_attempt("tried", 3, outcome=Outcome.FAILED),
    ),
    ("dead letters say why", "dead", write_attempt("dead", 1, outcome=Outcome.RELEASED)),
    ("dead letters say why", "dead", write("dead", attempts=())),
    ("dead letters say why", "dead", write("dead", error=None)),
    ("dead letters say why", "retrying", write_attempt("retrying", 1, outcome=Outcome.CANCELLED)),
    ("times run forward", "succeeded", write_attempt("succeeded", 1, finished_at=1)),
    ("waits are kept", "retrying", write_attempt("retrying", 1, next_attempt_at=1)),
    ("waits are kept", "retrying", write_attempt("retrying", 1, next_attempt_at=None)),
    ("waits are kept", "retrying", write("retrying", due_at=1)),
    ("waits are kept", "tried", write_attempt("tried", 2, started_at=1)),
    ("what people did is kept", "redriven", write("redriven", history=())),
    ("what people did is kept", "redriven", write("redriven", redrive_count=0)),
    ("what people did is kept", "cancelled", write("cancelled", history=())),
    (
        "a call that comes twice is done once",
        "redriven",
        write("redriven", history=tuple(Act(1, Event.REDRIVE, call="a 00") for _ in range(2))),
    ),
    ("no step is of two attempts", "tried", mark("tried", steps=TWICE)),
    ("no step is of two attempts", "tried", mark("tried", steps={"a": Step("a", 4, 1)})),
    ("no step is of two attempts", "queued", mark("queued", steps={"a": Step("a", 11, 1)})),
    ("effects are of attempts", "tried", mark("tried", declared={(9, 1): Effect(9, 1, "a", 1)})),
    (
        "what redrives forget of steps is counted",
        "redriven",
        mark("redriven", steps={"a": Step("a", 1, 1, forgotten_at=2)}),
    ),
    (
        "what redrives forget of steps is counted",
        "redriven",
        mark("redriven", effects=Effects({"a": 2})),
    ),
    (
        "what people did is kept",
        "succeeded",
        write("succeeded", history=(Act(1, Event.DISCARD),)),
    ),
]


@pytest.mark.parametrize(("promise", "task_id", "apply"), BROKEN)
async def test_a_broken_promise_is_found(
    stage: Breakable, promise: str, task_id: str, apply: Break
) -> None:
    apply(stage)
    found = await audit(stage.ledger)
    assert not found.ok
    assert (task_id, promise) in {(item.task_id, item.promise) for item in found.violations}
    assert {item.task_id for item in found.violations} == {task_id}


def test_each_promise_has_a_broken_variant() -> None:
    assert {promise for promise, _, _ in BROKEN} == PROMISES.keys() | UNTIL_PURGED.keys()
