"""What a supervisor makes of the attempts of a worker that has ended."""

from __future__ import annotations

from msgspec.structs import replace

from unlost.ledger.values import Held
from unlost.supervisor.workers import last_will
from unlost.task import Outcome

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
