"""What follows an attempt: the schedule, the decision, and errors as they are kept."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlost import policy
from unlost.policy import (
    CUT,
    Backoff,
    Excuses,
    Limits,
    Next,
    after_attempt,
    cut,
    cut_middle,
    fingerprint,
    may_come_of_stop,
    released_at_stop,
)
from unlost.task import SECOND, Event, Outcome

FAILURES = [Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST]
ALMOST_ONE = math.nextafter(1.0, 0.0)

# The default schedule: before which retry, from how many seconds, to how many.
SCHEDULE = [
    (1, 0.5, 1.0),
    (2, 1.0, 2.0),
    (3, 2.0, 4.0),
    (4, 4.0, 8.0),
    (5, 8.0, 16.0),
    (6, 16.0, 32.0),
    (7, 32.0, 64.0),
    (8, 64.0, 128.0),
    (9, 128.0, 256.0),
    (10, 256.0, 512.0),
    (11, 450.0, 900.0),
    (12, 450.0, 900.0),
    (100, 450.0, 900.0),
]


@pytest.mark.parametrize(("retry", "least", "most"), SCHEDULE)
def test_the_default_schedule_doubles_up_to_its_cap(retry: int, least: float, most: float) -> None:
    backoff = Backoff()
    assert backoff.wait(retry, 0.0) == least
    assert backoff.wait(retry, 0.5) == (least + most) / 2
    assert backoff.wait(retry, ALMOST_ONE) == pytest.approx(most)


@given(
    base=st.just(0.0) | st.floats(0.001, 31_536_000),
    cap=st.floats(0, 31_536_000),
    retry=st.integers(1, 10_000),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_lies_between_half_its_longest_and_its_longest(
    base: float, cap: float, retry: int, draw: float
) -> None:
    longest = min(cap, base * 2.0 ** min(retry - 1, 1000))
    wait = Backoff(base, cap).wait(retry, draw)
    assert longest / 2 <= wait <= longest


@pytest.mark.parametrize("retry", [1024, 1025, 5000, 10**9])
def test_no_retry_is_too_late_for_arithmetic(retry: int) -> None:
    assert Backoff().wait(retry, 0.0) == 450.0
    assert Backoff(31_536_000.0, 31_536_000.0).wait(retry, 0.0) == 15_768_000.0
    assert Backoff(0.0, 900.0).wait(retry, 0.5) == 0.0


@pytest.mark.parametrize("spent", [1, 3, 100])
def test_success_ends_it_whatever_was_spent(spent: int) -> None:
    decided = after_attempt(Outcome.SUCCEEDED, spent, 2, Backoff(), 0.5, final=True)
    assert decided == Next(Event.SUCCEED)


@pytest.mark.parametrize("spent", [1, 3, 100])
def test_a_release_costs_nothing_and_waits_only_where_its_handler_asked(spent: int) -> None:
    assert after_attempt(Outcome.RELEASED, spent, 2, Backoff(), 0.5) == Next(Event.RELEASE)
    asked = after_attempt(Outcome.RELEASED, spent, 2, Backoff(), 0.5, at_least=60.0)
    assert asked == Next(Event.RELEASE, 60 * SECOND)


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("final", [True, False])
def test_of_all_ends_only_failures_may_come_of_a_stop(outcome: Outcome, final: bool) -> None:
    expected = outcome is Outcome.FAILED and not final
    assert may_come_of_stop(outcome, final=final) is expected


@pytest.mark.parametrize("before", [None, *Outcome])
def test_a_failure_at_a_stop_is_released_once_in_a_row(before: Outcome | None) -> None:
    assert released_at_stop(before) is (before is not Outcome.RELEASED)


@pytest.mark.parametrize("outcome", FAILURES)
@pytest.mark.parametrize(
    ("spent", "max_retries", "event", "seconds"),
    [
        (1, 0, Event.DIE, 0),
        (1, 1, Event.RETRY, 0.5),
        (2, 1, Event.DIE, 0),
        (1, 2, Event.RETRY, 0.5),
        (2, 2, Event.RETRY, 1.0),
        (3, 2, Event.DIE, 0),
        (4, 2, Event.DIE, 0),
        (100, 100, Event.RETRY, 450.0),
        (101, 100, Event.DIE, 0),
    ],
)
def test_a_failure_is_tried_again_until_the_retries_are_spent(
    outcome: Outcome, spent: int, max_retries: int, event: Event, seconds: float
) -> None:
    decided = after_attempt(outcome, spent, max_retries, Backoff(), 0.0)
    assert decided == Next(event, round(seconds * SECOND))


@pytest.mark.parametrize("outcome", FAILURES)
def test_what_is_final_is_not_tried_again(outcome: Outcome) -> None:
    assert after_attempt(outcome, 1, 100, Backoff(), 0.0, final=True) == Next(Event.DIE)


@pytest.mark.parametrize(
    ("at_least", "seconds"),
    [
        (0.0, 0.5),
        (0.4, 0.5),
        (7.25, 7.25),
        (5_000.0, 5_000.0),
        (31_536_000.0, 31_536_000.0),
        (1e12, 31_536_000.0),
        (math.inf, 31_536_000.0),
    ],
)
def test_a_handler_may_ask_for_a_longer_wait_up_to_a_year(at_least: float, seconds: float) -> None:
    decided = after_attempt(Outcome.FAILED, 1, 2, Backoff(), 0.0, at_least=at_least)
    assert decided == Next(Event.RETRY, round(seconds * SECOND))


def test_with_no_attempt_left_a_wait_that_was_asked_for_changes_nothing() -> None:
    decided = after_attempt(Outcome.FAILED, 3, 2, Backoff(), 0.0, at_least=60.0)
    assert decided == Next(Event.DIE)


def test_limits_are_filled_only_where_they_are_open() -> None:
    assert Limits().filled(Limits(5, 2.0)) == Limits(5, 2.0)
    assert Limits(0, None).filled(Limits(5, 2.0)) == Limits(0, 2.0)
    assert Limits(None, 1.0).filled(Limits(5, None)) == Limits(5, 1.0)
    assert Limits(1, 1.0).filled(Limits(5, 2.0)) == Limits(1, 1.0)


TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/handlers.py", line 12, in send
    post(url)
  File "/usr/lib/python3/http.py", line 340, in post
    raise ConnectionError("host 10.0.0.7 is down")
ConnectionError: host 10.0.0.7 is down
"""


@pytest.mark.parametrize(
    ("message", "traceback"),
    [
        ("host 10.0.0.8 is down", TRACEBACK),
        ("host 10.0.0.7 is down", TRACEBACK.replace("line 340", "line 341")),
        ("host 10.0.0.7 is down", TRACEBACK.replace("/usr/lib/python3/", "/opt/venv/lib/")),
        ("host 10.0.0.7 is down", TRACEBACK.replace("/usr/lib/python3/", "C:\\Python\\")),
        ("host 10.0.0.7 is down", TRACEBACK.replace("in send", "in resend")),
    ],
    ids=["numbers", "lines", "folders", "other systems", "outer frames"],
)
def test_errors_that_look_alike_share_a_fingerprint(message: str, traceback: str) -> None:
    name = fingerprint("ConnectionError", "host 10.0.0.7 is down", TRACEBACK)
    assert fingerprint("ConnectionError", message, traceback) == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no user 'ann'", "no user 'bob'"),
        ('no key "a b"', 'no key ""'),
        ("at 0x7fe1a0", "at 0x00"),
        (
            "job 123e4567-e89b-12d3-a456-426614174000 is gone",
            "job 00000000-0000-0000-0000-0000000000ff is gone",
        ),
        ("commit deadbeefdeadbeefdeadbeef", "commit 0123456789abcdef0123"),
        ("3 of 5", "17 of 20000"),
    ],
)
def test_what_varies_in_a_message_does_not_count(one: str, other: str) -> None:
    assert fingerprint("E", one, None) == fingerprint("E", other, None)


@pytest.mark.parametrize(
    ("type_name", "message", "traceback"),
    [
        ("TimeoutError", "host 10.0.0.7 is down", TRACEBACK),
        ("ConnectionError", "host 10.0.0.7 is up", TRACEBACK),
        ("ConnectionError", "host 10.0.0.7 is down", TRACEBACK.replace("in post", "in put")),
        ("ConnectionError", "host 10.0.0.7 is down", TRACEBACK.replace("http.py", "ftp.py")),
        ("ConnectionError", "host 10.0.0.7 is down", None),
    ],
    ids=["type", "message", "function", "file", "no frame"],
)
def test_errors_that_differ_do_not_share_a_fingerprint(
    type_name: str, message: str, traceback: str | None
) -> None:
    name = fingerprint("ConnectionError", "host 10.0.0.7 is down", TRACEBACK)
    assert fingerprint(type_name, message, traceback) != name


@given(st.text(), st.text(), st.none() | st.text())
def test_every_error_has_a_fingerprint_of_16_hexadecimal_digits(
    type_name: str, message: str, traceback: str | None
) -> None:
    name = fingerprint(type_name, message, traceback)
    assert len(name) == 16
    assert set(name) <= set("0123456789abcdef")


@pytest.mark.parametrize("shorten", [cut, cut_middle])
def test_what_fits_is_left_alone(shorten: Callable[[str, int], str]) -> None:
    for text in ("", "a" * 50, "é" * 25, "😀" * 12):
        assert shorten(text, 50) == text


@pytest.mark.parametrize("letter", ["a", "é", "€", "😀"])
@pytest.mark.parametrize("limit", range(40, 48))
def test_a_cut_falls_between_letters_and_leaves_a_mark(letter: str, limit: int) -> None:
    short = cut(letter * 100, limit)
    assert short.endswith(CUT)
    assert set(short.removesuffix(CUT)) == {letter}
    assert limit - 3 <= len(short.encode()) <= limit


@pytest.mark.parametrize("letter", ["a", "é", "€", "😀"])
@pytest.mark.parametrize("limit", range(60, 68))
def test_a_cut_in_the_middle_keeps_both_ends(letter: str, limit: int) -> None:
    short = cut_middle("<" + letter * 100 + ">", limit)
    start, mark, end = short.partition(f"\n{CUT}\n")
    assert mark
    assert start.startswith("<")
    assert end.endswith(">")
    assert set(start[1:]) == set(end[:-1]) == {letter}
    assert len(short.encode()) <= limit


@given(st.text(), st.integers(30, 60))
def test_no_cut_exceeds_its_limit(text: str, limit: int) -> None:
    for short in (cut(text, limit), cut_middle(text, limit)):
        assert len(short.encode()) <= limit


def test_an_error_is_bounded_and_its_ends_are_kept() -> None:
    error = policy.error("E" * 1000, "m" * 10_000, "first\n" + "frame\n" * 10_000 + "last")
    assert len(error.type.encode()) <= 255
    assert len(error.message.encode()) <= 4 * 1024
    assert error.message.endswith(CUT)
    assert error.traceback is not None
    assert len(error.traceback.encode()) <= 16 * 1024
    assert error.traceback.startswith("first\n")
    assert error.traceback.endswith("last")
    assert CUT in error.traceback


def test_an_error_that_cannot_be_written_in_utf8_is_kept_all_the_same() -> None:
    error = policy.error("E", "lone \ud800", "lone \udfff")
    assert (error.message, error.traceback) == ("lone ?", "lone ?")


def test_lost_and_timed_out_attempts_have_the_contracts_errors() -> None:
    assert (policy.WORKER_LOST.type, policy.WORKER_LOST.traceback) == ("WorkerLost", None)
    slow, slower = policy.timed_out(1.5), policy.timed_out(300.0)
    assert (slow.type, slow.traceback) == ("AttemptTimedOut", None)
    assert slow.message == "the attempt ran longer than 1.5 s"
    assert slow.fingerprint == policy.timed_out(2.5).fingerprint
    assert slower.message == "the attempt ran longer than 300 s"


def decided(
    outcome: Outcome = Outcome.FAILED,
    spent: int = 1,
    excuses: Excuses = Excuses(True, 0, 2),  # noqa: B008 - immutable
    *,
    at_least: float = 0.0,
    final: bool = False,
) -> Next:
    """What follows, with waits of 1, 2, 4 s and no retry left."""
    return after_attempt(
        outcome, spent, 0, Backoff(), ALMOST_ONE, at_least=at_least, final=final, excuses=excuses
    )


def test_an_excused_failure_is_tried_again_though_no_retry_is_left() -> None:
    assert decided() == Next(Event.RETRY, 1 * SECOND, excused=True)
    assert decided(at_least=60.0) == Next(Event.RETRY, 60 * SECOND, excused=True)


def test_its_waits_grow_with_those_that_were_excused_before() -> None:
    waits = [decided(excuses=Excuses(True, made, 9)).wait for made in range(4)]
    assert waits == [1 * SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]


def test_no_more_are_excused_than_may_be() -> None:
    assert decided(excuses=Excuses(True, 1, 2)).excused
    assert decided(excuses=Excuses(True, 2, 2)) == Next(Event.DIE)
    assert decided(excuses=Excuses(True, 0, 0)) == Next(Event.DIE)


@pytest.mark.parametrize("asked", [False, True])
def test_a_lost_attempt_is_never_excused(asked: bool) -> None:
    assert decided(Outcome.LOST, excuses=Excuses(asked, 0, 2)) == Next(Event.DIE)


@pytest.mark.parametrize("asked", [False, True])
def test_one_that_timed_out_is_excused_by_a_breaker_alone(asked: bool) -> None:
    made = Excuses(asked, 1, 2)
    assert decided(Outcome.TIMED_OUT, excuses=made) == Next(Event.DIE, excusable=2 * SECOND)
    assert decided(Outcome.TIMED_OUT, excuses=Excuses(asked, 2, 2)) == Next(Event.DIE)


def test_what_the_handler_means_to_be_the_last_is_never_excused() -> None:
    assert decided(final=True) == Next(Event.DIE)


def test_what_is_not_asked_for_a_breaker_may_excuse_as_often() -> None:
    assert decided(excuses=Excuses(False, 1, 2)) == Next(Event.DIE, excusable=2 * SECOND)
    assert decided(excuses=Excuses(False, 2, 2)) == Next(Event.DIE)
    assert decided(excuses=Excuses(False, 0, 2), spent=0).excusable == decided(spent=0).wait
