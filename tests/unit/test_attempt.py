"""How an attempt ends, whatever its handler does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tests.unit.test_handlers import task
from unlost import carried
from unlost.carried import Carried, Scheduled
from unlost.handlers import Reject, Retry
from unlost.handlers.follow_ups import id_of, secret_of
from unlost.ledger.values import Claimed, Held
from unlost.policy import MAX_WAIT, Backoff
from unlost.task import SECOND, Event, Outcome
from unlost.worker import attempt
from unlost.worker.attempt import Ended


class Declined(Exception):
    """A user's own error."""

    class Twice(Exception): ...


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even its message fails")


class Nasty(dict[str, Any]):
    def items(self) -> Any:
        raise SystemExit("no items")


def ends(raised: BaseException | type[BaseException]) -> Ended:
    """How an attempt ends whose handler raises this."""

    def handler(task: object) -> None:
        raise raised

    return attempt.call(handler, task())


@pytest.mark.parametrize(
    ("raised", "name", "message"),
    [
        (ValueError("no"), "ValueError", "no"),
        (KeyError("k"), "KeyError", "'k'"),
        (SystemExit(3), "SystemExit", "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt", ""),
        (GeneratorExit(), "GeneratorExit", ""),
        (BaseException("base"), "BaseException", "base"),
        (MemoryError(), "MemoryError", ""),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError", ""),
        (Declined("card"), "tests.unit.test_attempt.Declined", "card"),
        (Declined.Twice(), "tests.unit.test_attempt.Declined.Twice", ""),
        (ExceptionGroup("both", [ValueError("a")]), "ExceptionGroup", "both (1 sub-exception)"),
        (
            Unspeakable(),
            "tests.unit.test_attempt.Unspeakable",
            "(its message cannot be read: RuntimeError)",
        ),
        (Reject("why"), "Reject", "why"),
        (Retry(5, "why"), "Retry", "why"),
    ],
)
async def test_whatever_a_handler_raises_is_an_error_with_its_type_message_and_traceback(
    raised: BaseException, name: str, message: str
) -> None:
    async def handler(task: object) -> None:
        raise raised

    for ended in (ends(raised), await attempt.run(handler, task())):
        assert ended.outcome is Outcome.FAILED
        assert ended.error is not None
        assert (ended.error.type, ended.error.message) == (name, message)
        assert ended.error.traceback is not None
        assert "raise raised" in ended.error.traceback


def test_a_traceback_starts_at_the_handler_and_has_its_causes() -> None:
    def handler(task: object) -> None:
        try:
            raise ValueError("first")
        except ValueError as error:
            raise Declined("second") from error

    ended = attempt.call(handler, task())
    assert ended.error is not None
    assert ended.error.traceback is not None
    assert ended.error.traceback.index("first") < ended.error.traceback.index("second")
    assert 'attempt.py", line' not in ended.error.traceback.replace("test_attempt.py", "")


def test_an_endless_recursion_is_a_failed_attempt() -> None:
    def handler(task: Any) -> None:
        handler(task)

    ended = attempt.call(handler, task())
    assert ended.error is not None
    assert ended.error.type == "RecursionError"


def test_messages_and_tracebacks_are_bounded() -> None:
    error = ends(ValueError("x" * 10_000_000)).error
    assert error is not None
    assert error.traceback is not None
    assert len(error.message.encode()) <= 4096
    assert len(error.traceback.encode()) <= 16384


@pytest.mark.parametrize(
    ("value", "result"),
    [(None, None), ({"a": [1, 2.5, "ä", None, True]}, '{"a":[1,2.5,"ä",null,true]}'), (0, "0"),
     ((1, 2), "[1,2]"), (10**30, "1" + "0" * 30)],
)  # fmt: skip
def test_what_a_handler_returns_is_the_result(value: Any, result: str | None) -> None:
    assert attempt.call(lambda _: value, task()) == Ended(Outcome.SUCCEEDED, None, result)


def nested(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "ResultNotJson"),
        ({1: 2}, "ResultNotJson"),
        (float("nan"), "ResultNotJson"),
        ({"a": {1, 2}}, "ResultNotJson"),
        (b"bytes", "ResultNotJson"),
        ("\ud800", "ResultNotJson"),
        (nested(100_000), "ResultNotJson"),
        ("x" * 65_535, "ResultTooLarge"),
        ("ä" * 32_768, "ResultTooLarge"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_a_result_ends_the_task_since_another_attempt_would_repeat_the_work(
    value: Any, name: str
) -> None:
    ended = attempt.call(lambda _: value, task())
    assert ended.outcome is Outcome.FAILED
    assert ended.error is not None
    assert ended.error.type == name
    event, _ = follows(ended)
    assert event is Event.DIE


def test_a_result_that_raises_while_it_is_read_ends_the_task_and_says_what() -> None:
    ended = attempt.call(lambda _: Nasty(a=1), task())
    assert ended.error is not None
    assert (ended.error.type, ended.final) == ("ResultNotJson", True)
    assert ended.error.message == "reading it raised SystemExit: no items"
    event, _ = follows(ended)
    assert event is Event.DIE


def test_a_result_of_64_kib_is_kept() -> None:
    assert attempt.call(lambda _: "x" * 65_534, task()).outcome is Outcome.SUCCEEDED


HELD = Held("t", "token", "w", spent=2, max_retries=5, timeout=1.0, left=0, type="mail", number=2)


def follows(ended: Ended, held: Held = HELD, draw: float = 0.5) -> tuple[Event, int]:
    told = attempt.settlement(held, ended, Backoff(1.0, 900.0), lambda _: draw)
    return told.event, told.wait


def test_what_follows_is_the_policys_decision() -> None:
    lone = Held(
        "t", "token", "w", spent=6, max_retries=5, timeout=1.0, left=0, type="mail", number=2
    )
    assert follows(attempt.NOTHING) == (Event.SUCCEED, 0)
    assert follows(attempt.RELEASED) == (Event.RELEASE, 0)
    assert follows(attempt.LOST) == (Event.RETRY, 1_500_000)
    assert follows(attempt.LOST, lone) == (Event.DIE, 0)
    assert follows(ends(ValueError())) == (Event.RETRY, 1_500_000)
    assert follows(ends(Reject("x"))) == (Event.DIE, 0)
    assert follows(ends(Retry(60))) == (Event.RETRY, 60 * SECOND)
    assert follows(ends(Retry(0.5))) == (Event.RETRY, 1_500_000)
    assert follows(ends(Retry(60)), lone) == (Event.DIE, 0)


@pytest.mark.parametrize("after", [float("nan"), -5, "soon", None, float("-inf")])
def test_a_wait_that_makes_no_sense_is_none(after: Any) -> None:
    assert follows(ends(Retry(after))) == (Event.RETRY, 1_500_000)


def test_no_wait_is_longer_than_a_year() -> None:
    assert follows(ends(Retry(float("inf")))) == (Event.RETRY, round(MAX_WAIT) * SECOND)
    assert follows(ends(Retry(10**400))) == (Event.RETRY, round(MAX_WAIT) * SECOND)


def test_under_a_seed_the_same_attempt_waits_the_same_time_in_every_process() -> None:
    one, other = attempt.draws(7, Random(1)), attempt.draws(7, Random(2))
    assert one(HELD) == one(HELD) == other(HELD)
    assert attempt.draws(8, Random(1))(HELD) != one(HELD)


@pytest.mark.parametrize("run", [attempt.call])
def test_attempts_settle_what_they_were_given(run: Callable[..., Ended]) -> None:
    told = attempt.settlement(HELD, run(lambda _: [1], task()), Backoff(), lambda _: 0.0)
    assert (told.task_id, told.token, told.result) == ("t", "token", "[1]")


def test_a_task_that_a_schedule_submitted_knows_the_time_that_it_is_for() -> None:
    time = 1_700_000_000 * SECOND
    by = carried.write(Carried(schedule=Scheduled("nightly", time)))
    for text, known in ((by, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)), (None, None)):
        claimed = Claimed("t", "", "mail", "{}", 1, 1, 2, 60.0, 0, 0, 0, 0, 0, text)
        assert attempt.started(claimed).scheduled_for == known


def test_a_handler_is_given_what_was_claimed() -> None:
    claimed = Claimed("t", "secret", "mail", '{"a": 1}', 9, 4, 5, 6.0, 7, 2, 3, 1, 0)
    given = attempt.started(claimed)
    assert (given.id, given.type, given.payload) == ("t", "mail", {"a": 1})
    assert (given.attempt, given.number, given.max_retries, given.redrive_count) == (4, 9, 5, 2)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    times = [
        (at - epoch) // timedelta(microseconds=1) for at in (given.submitted_at, given.deadline)
    ]
    assert times == [3, 7]
    assert given.submit({}) == id_of(secret_of("t", "secret"), 0)
