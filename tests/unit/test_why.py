"""Why a task waits: one reason and one sentence, for each thing that can hold it up."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from unlost.limits.breaker import Breaker, Circuit
from unlost.limits.control import Control, Pause, Run
from unlost.limits.why import EACH_ITS_OWN, Alive, Facts, Reason, Taken, bars, taken, why
from unlost.task import SECOND, Record, State

NOW = 1_700_000_000 * SECOND
TASK = Record("a", "mail", State.QUEUED, 0, b"", NOW, NOW, NOW, None, None, 0, 0, key="ann")
LATER = replace(TASK, due_at=NOW + 5 * SECOND)
IDLE = (Alive(("mail",), slots=2),)
FULL = (Alive(("mail",), slots=2, running=2), Alive(None, slots=1, running=3))
PAUSE = Pause("mail", NOW, "ann", "the provider is down")
OPEN = Circuit(opened=NOW - SECOND, until=NOW + 30 * SECOND)
HALF_OPEN = Circuit(opened=NOW - SECOND, until=NOW, passed=1)
BREAKER = Breaker(probes=2)


def control(**what: object) -> Control:
    return replace(Control("mail"), **what)


CASES: list[tuple[Facts, Reason, str, str]] = [
    (
        Facts(replace(TASK, state=State.RUNNING, due_at=None), NOW),
        Reason.RUNNING, "An attempt runs.",
        "It runs until its attempt ends or it is cancelled.",
    ),
    (
        Facts(replace(TASK, state=State.SUCCEEDED, due_at=None), NOW),
        Reason.ENDED, "It has succeeded.", "It never starts again.",
    ),
    (
        Facts(replace(TASK, state=State.CANCELLED, due_at=None), NOW),
        Reason.ENDED, "It was cancelled.", "It never starts again.",
    ),
    (
        Facts(replace(TASK, state=State.DEAD, due_at=None), NOW),
        Reason.ENDED, "It is a dead letter.", "It starts once somebody redrives it.",
    ),
    (
        Facts(LATER, NOW, workers=FULL),
        Reason.DUE_AT, "It is not due yet.", "It starts once it is due.",
    ),
    (
        Facts(replace(LATER, state=State.RETRYING), NOW, workers=IDLE),
        Reason.BACKOFF, "Its last attempt has failed, and there is a wait before the next one.",
        "It starts once its wait is over.",
    ),
    (
        Facts(LATER, NOW, control=control(pause=PAUSE, limit=1), taken=Taken(1)),
        Reason.DUE_AT, "It is not due yet.",
        ("It starts once it is due, then its type is resumed,"
        " and then a worker is there that serves its type."),
    ),
    (
        Facts(TASK, NOW, control=control(pause=PAUSE), workers=IDLE),
        Reason.TYPE_PAUSED, "Its type is paused, by ann: the provider is down.",
        "It starts once its type is resumed.",
    ),
    (
        Facts(TASK, NOW, control=control(pause=Pause("mail", NOW)), workers=IDLE),
        Reason.TYPE_PAUSED, "Its type is paused, by somebody who gave no name.",
        "It starts once its type is resumed.",
    ),
    (
        Facts(TASK, NOW, workers=(Alive(("other",)), Alive((),), Alive(None, alone=True))),
        Reason.NO_WORKER, "No worker is there that serves the type mail.",
        "It starts once a worker is there that serves its type.",
    ),
    (
        Facts(TASK, NOW, workers=(Alive(None, slots=2, stand_in=True),), named=True),
        Reason.NO_WORKER,
        ("No worker is there that serves the type mail."
         " For a minute the simulated handler leaves it to those that claim by the API."),
        "It starts once a worker is there that serves its type.",
    ),
    (
        Facts(TASK, NOW, workers=(*IDLE, Alive(None, slots=2, stand_in=True)), named=True),
        Reason.WORKERS_BUSY, "Free slots of the workers for its type: 2 of 2.",
        "It starts once a worker looks for what is due.",
    ),
    (
        Facts(TASK, NOW, control=control(breaker=BREAKER, circuit=OPEN), workers=IDLE),
        Reason.BREAKER_OPEN, "The circuit breaker of its type is open.",
        "It starts once the breaker tries again.",
    ),
    (
        Facts(
            TASK, NOW, control=control(breaker=BREAKER, circuit=HALF_OPEN), workers=IDLE,
            taken=Taken(probes=1),
        ),
        Reason.BREAKER_OPEN,
        "The circuit breaker of its type is half open, and waits for what it tries.",
        "It starts once what the breaker tries has succeeded.",
    ),
    (
        Facts(TASK, NOW, control=control(limit=5), taken=Taken(5), workers=IDLE, before=1),
        Reason.TYPE_LIMIT, "5 of 5 attempts of its type run. At least 1 task is before it.",
        ("It starts once an attempt of its type ends, or the limit is raised,"
        " and then those before it have started."),
    ),
    (
        Facts(TASK, NOW, control=control(limit=5, key_limit=1), taken=Taken(4, 1), workers=IDLE),
        Reason.KEY_LIMIT, "1 of 1 attempts with its key run.",
        "It starts once an attempt with its key ends, or the limit by key is raised.",
    ),
    (
        Facts(TASK, NOW, type_free_at=NOW + 1, key_free_at=NOW + 2, workers=IDLE),
        Reason.TYPE_RATE, "As many attempts of its type have started as its rate allows.",
        ("It starts once its type's rate lets the next attempt start, and then its key's rate lets"
         " the next attempt start."),
    ),
    (
        Facts(TASK, NOW, key_free_at=NOW + 2, workers=IDLE, before=3),
        Reason.KEY_RATE,
        ("As many attempts with its key have started as the rate by key allows."
         " At least 3 tasks are before it."),
        ("It starts once its key's rate lets the next attempt start,"
         " and then those before it have started."),
    ),
    (
        Facts(replace(TASK, key=None), NOW, control=control(key_rate=1.0), type_free_at=NOW + 1,
              workers=IDLE, before=2),
        Reason.TYPE_RATE,
        ("As many attempts of its type have started as its rate allows."
         " At least 2 tasks without a key are before it."),
        ("It starts once its type's rate lets the next attempt start,"
         " and then those before it have started."),
    ),
    (
        Facts(TASK, NOW, control=control(key_limit=1), taken=Taken(0, 1), workers=IDLE, before=1),
        Reason.KEY_LIMIT,
        ("1 of 1 attempts with its key run."
         " At least 1 task with its key, or without one, is before it."),
        ("It starts once an attempt with its key ends, or the limit by key is raised,"
         " and then those before it have started."),
    ),
    (
        Facts(TASK, NOW, alone=True, workers=IDLE, before=2),
        Reason.ALONE,
        ("Its last attempt was lost: the next one has a process for itself."
        " At least 2 tasks are before it."),
        ("It starts once a worker that runs alone takes it,"
        " and then those before it have started."),
    ),
    (
        Facts(TASK, NOW, workers=FULL, before=1_000),
        Reason.WORKERS_BUSY,
        ("No slot is free, of 3 that the workers for its type have."
         " At least 1,000 tasks are before it."),
        "It starts once a slot is free, and then those before it have started.",
    ),
    (
        Facts(TASK, NOW, workers=(*FULL, *IDLE)),
        Reason.WORKERS_BUSY, "Free slots of the workers for its type: 2 of 5.",
        "It starts once a worker looks for what is due.",
    ),
    (
        Facts(TASK, NOW, workers=(Alive(None),)),
        Reason.WORKERS_BUSY, "No worker for its type has taken it yet.",
        "It starts once one of them has room for it.",
    ),
    (
        Facts(TASK, NOW, alone=True, workers=(Alive(None, slots=EACH_ITS_OWN),)),
        Reason.WORKERS_BUSY,
        "The functions for its type are busy, or its message is on its way.",
        "It starts once one of them has taken it.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "reason", "detail", "would_change"), CASES)
def test_there_is_one_reason_and_what_lifts_it(
    facts: Facts, reason: Reason, detail: str, would_change: str
) -> None:
    found = why(facts)
    assert (found.reason, found.detail, found.would_change) == (reason, detail, would_change)


def test_it_says_until_when_where_that_is_known() -> None:
    assert why(Facts(LATER, NOW)).until == LATER.due_at
    open_ = control(breaker=BREAKER, circuit=OPEN)
    assert why(Facts(TASK, NOW, control=open_, workers=IDLE)).until == OPEN.until
    assert why(Facts(TASK, NOW, workers=IDLE)).until is None
    assert why(Facts(TASK, NOW, workers=IDLE, type_free_at=NOW + 7)).until == NOW + 7
    assert why(Facts(TASK, NOW, workers=IDLE, key_free_at=NOW + 8)).until == NOW + 8


def test_a_breaker_matters_to_what_is_not_due_only_where_it_is_open_for_longer() -> None:
    open_ = control(breaker=BREAKER, circuit=OPEN)
    facts = Facts(LATER, NOW, control=open_, workers=IDLE)
    assert bars(facts) == [Reason.DUE_AT, Reason.BREAKER_OPEN]
    late = replace(LATER, due_at=OPEN.until)
    assert bars(replace(facts, record=late)) == [Reason.DUE_AT]


def test_all_that_holds_is_named_in_turn() -> None:
    everything = control(pause=PAUSE, limit=1, key_limit=1, breaker=BREAKER, circuit=OPEN)
    facts = Facts(TASK, NOW, control=everything, taken=Taken(1, 1), workers=FULL)
    assert bars(facts) == [
        Reason.TYPE_PAUSED, Reason.BREAKER_OPEN, Reason.TYPE_LIMIT, Reason.KEY_LIMIT,
        Reason.WORKERS_BUSY,
    ]  # fmt: skip
    assert bars(replace(facts, workers=())) == [
        Reason.TYPE_PAUSED, Reason.NO_WORKER, Reason.BREAKER_OPEN, Reason.TYPE_LIMIT,
        Reason.KEY_LIMIT,
    ]  # fmt: skip


def test_what_runs_counts_only_for_the_limits_that_are_set() -> None:
    running = [Run("mail", "ann", NOW), Run("mail", "bob", NOW - SECOND), Run("other", "ann", NOW)]
    assert taken(None, "ann", running) == Taken()
    assert taken(control(pause=PAUSE), "ann", running) == Taken()
    assert taken(control(limit=1), "ann", running) == Taken(of_type=2)
    assert taken(control(key_limit=1), "ann", running) == Taken(of_key=1)
    assert taken(control(key_limit=1), None, [Run("mail", None, NOW)]) == Taken()
    half_open = control(breaker=BREAKER, circuit=HALF_OPEN)
    assert taken(half_open, "ann", running) == Taken(probes=1)
