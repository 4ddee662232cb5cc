"""A circuit breaker opens on a share of failures, probes, and closes again."""

from __future__ import annotations

from functools import reduce

import pytest
from msgspec.structs import replace

from unlost import policy
from unlost.limits.breaker import Breaker, Circuit, Ending, Phase, after, ending, excuses
from unlost.task import SECOND, Outcome, TaskError

BREAKER = Breaker(share=0.5, window=60 * SECOND, minimum=4, pause=30 * SECOND, probes=2)
NOW = 1_700_000_000 * SECOND
BROKEN = policy.error("Boom", "it broke")


def then(circuit: Circuit, words: str, now: int = NOW, started_at: int = NOW) -> Circuit:
    """What follows when attempts end: `f` failed, `s` succeeded."""
    endings = [Ending(started_at, failed=word == "f") for word in words]
    return reduce(lambda known, one: after(BREAKER, known, one, now), endings, circuit)


@pytest.mark.parametrize("words", ["f", "fff", "sfsf", "ssff", "fsff", "ffff", "sssff"])
def test_it_opens_with_the_failure_that_makes_the_share_and_not_before_the_minimum(
    words: str,
) -> None:
    opens = len(words) >= 4 and words.count("f") / len(words) >= 0.5
    assert (then(Circuit(), words).phase(NOW) is Phase.OPEN) is opens


def test_a_success_never_opens_it() -> None:
    assert then(Circuit(), "fffs").phase(NOW) is Phase.CLOSED
    assert then(Circuit(), "fffsf").phase(NOW) is Phase.OPEN


def test_what_ended_before_the_window_counts_no_more() -> None:
    old = then(Circuit(), "fff")
    assert then(old, "f", NOW + 61 * SECOND).phase(NOW + 61 * SECOND) is Phase.CLOSED
    assert then(old, "f", NOW + 50 * SECOND).phase(NOW + 50 * SECOND) is Phase.OPEN


def test_it_is_half_open_once_its_pause_is_over() -> None:
    opened = then(Circuit(), "ffff")
    assert opened.phase(NOW + 30 * SECOND - 1) is Phase.OPEN
    assert opened.phase(NOW + 30 * SECOND) is Phase.HALF_OPEN


def test_it_closes_when_all_probes_have_succeeded_and_counts_anew() -> None:
    later = NOW + 31 * SECOND
    half = then(then(Circuit(), "ffff"), "s", later, later)
    assert half.phase(later) is Phase.HALF_OPEN
    closed = then(half, "s", later, later)
    assert closed == Circuit()


def test_a_probe_that_fails_opens_it_again_for_a_whole_pause() -> None:
    later = NOW + 31 * SECOND
    again = then(then(Circuit(), "ffff"), "sf", later, later)
    assert again.phase(later + 30 * SECOND - 1) is Phase.OPEN
    assert again.opened == NOW  # so one sees since when it is broken
    assert again.passed == 0


def test_attempts_that_began_before_it_was_half_open_are_no_probes() -> None:
    opened = then(Circuit(), "ffff")
    assert then(opened, "ssff", NOW + SECOND) == opened
    assert then(opened, "ssff", NOW + 31 * SECOND, NOW) == opened


@pytest.mark.parametrize(
    ("outcome", "error", "failed"),
    [
        (Outcome.SUCCEEDED, None, False),
        (Outcome.FAILED, BROKEN, True),
        (Outcome.TIMED_OUT, policy.timed_out(1), True),
        (Outcome.LOST, policy.WORKER_LOST, True),
    ],
)
def test_failures_of_every_kind_count(
    outcome: Outcome, error: TaskError | None, failed: bool
) -> None:
    assert ending(NOW, outcome, error) == Ending(NOW, failed)


@pytest.mark.parametrize("outcome", [Outcome.RELEASED, Outcome.CANCELLED])
def test_what_was_not_let_finish_does_not_count(outcome: Outcome) -> None:
    assert ending(NOW, outcome, None) is None


def test_a_task_that_is_rejected_does_not_count() -> None:
    assert ending(NOW, Outcome.FAILED, policy.error("Reject", "no such customer")) is None


EXCUSING = replace(BREAKER, excuse=True)


def excused(
    circuit: Circuit, now: int = NOW, started_at: int = NOW, *, failed: bool = True
) -> bool:
    return excuses(EXCUSING, circuit, Ending(started_at, failed), now)


def test_it_excuses_the_failure_that_opens_it_and_no_other() -> None:
    assert not excused(then(Circuit(), "ff"))
    assert excused(then(Circuit(), "fff"))
    assert not excused(then(Circuit(), "fff"), failed=False)
    assert not excused(then(Circuit(), "ffff"))


def test_it_excuses_each_probe_that_fails_and_nothing_that_ran_before() -> None:
    opened, later = then(Circuit(), "ffff"), NOW + 31 * SECOND
    assert excused(opened, later, later)
    assert not excused(opened, later, NOW)
    assert not excused(opened, later, later, failed=False)


def test_it_excuses_nothing_unless_it_is_told_to() -> None:
    assert not excuses(BREAKER, then(Circuit(), "fff"), Ending(NOW, failed=True), NOW)
