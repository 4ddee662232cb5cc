"""What a supervisor makes of the attempts of a worker that has ended."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from tests.unit.stage import Unreliable, submission
from tests.unit.virtual import clock, in_virtual_time
from unlost.ledger.values import Claim, Held, Worker
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.supervisor.workers.workers import last_will
from unlost.task import SECOND, Outcome, State
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import Recorder
from unlost.tracing import OFF
from unlost.worker.attempt import draws
from unlost.worker.settling.reaping import Reaping

HELD = Held("t", "token", "w", spent=1, max_retries=2, timeout=5.0, left=0, type="mail", number=2)


def test_an_attempt_past_its_deadline_has_timed_out_however_its_process_ended() -> None:
    for meant in (True, False):
        ended = last_will(HELD, meant=meant)
        assert ended.outcome is Outcome.TIMED_OUT
        assert ended.error is not None
        assert ended.error.message == "the attempt ran longer than 5 s"


def test_an_attempt_of_a_process_that_was_to_end_is_released() -> None:
    assert last_will(replace(HELD, left=1), meant=True).outcome is Outcome.RELEASED


def test_an_attempt_of_a_process_that_was_not_to_end_is_lost() -> None:
    assert last_will(replace(HELD, left=1), meant=False).outcome is Outcome.LOST


@in_virtual_time
@pytest.mark.parametrize(
    ("left", "outcome", "excused"), [(0, Outcome.TIMED_OUT, True), (1, Outcome.LOST, False)]
)
async def test_a_breaker_excuses_one_that_hung_and_not_one_that_was_lost(
    left: int, outcome: Outcome, excused: bool
) -> None:
    ledger, recorder = Unreliable(clock), Recorder()
    await ledger.change("default", Change(breaker=Breaker(minimum=1, excuse=True)))
    await ledger.submit([submission("t", max_retries=0)])
    await ledger.enlist(Worker("w"), 60 * SECOND)
    assert await ledger.claim(Claim("w", ["token"], None, Limits(0, 60.0)))
    (held,) = await ledger.held("w")
    reaping = Reaping(ledger, Settings(), draws(1, Random(1)), recorder, OFF, Log("test"))
    await reaping.settle([replace(held, left=left)], lambda one: last_will(one, meant=False))
    record = await ledger.get("t")
    assert record is not None
    (attempt,) = record.attempts
    assert (attempt.outcome, attempt.excused) == (outcome, excused)
    assert record.state is (State.RETRYING if excused else State.DEAD)
    seen = recorder.take().types["default"]
    assert (seen.outcomes, seen.excused, seen.deaths) == ({outcome: 1}, excused, not excused)
