"""What holds of a worker on a ledger holds of one by the API: the same tests, in virtual time."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.pulling.stage import stage
from tests.unit import (
    shop,
    test_follow_ups,
    test_once,
    test_once_over,
    test_once_recorded,
    test_worker,
    test_worker_stopping,
)

MODULES: dict[ModuleType, set[str]] = {
    test_worker: {
        # The service times out, at its sweep; struck off or not, a worker claims on by the API.
        "test_an_attempt_is_timed_out_at_its_deadline",
        "test_a_handler_that_ignores_cancellation_ends_the_worker_after_its_neighbours",
        "test_a_worker_that_was_struck_off_stops_its_handlers_and_ends",
        "test_a_worker_whose_lease_is_over_goes_on_as_long_as_nobody_has_struck_it_off",
        # The same claim comes again and gives the same attempts.
        "test_attempts_of_a_claim_whose_answer_was_lost_are_released_and_run_again",
        # What a ledger's worker asks for is not what a service is asked for.
        "test_a_worker_looks_each_second_however_many_hints_of_other_types_come",
        "test_a_settlement_is_kept_until_the_ledger_takes_it",
        "test_a_lone_worker_runs_one_lost_task_after_the_other_and_ends_when_none_is_due",
    },
    test_once_over: set(),
    test_once_recorded: {
        # The service ends the attempt with its time, and takes no record of it any more.
        "test_a_record_outlasts_the_timeout",
        "test_a_record_outlasts_the_timeout_by_five_seconds_and_no_more",
        "test_a_record_that_its_handler_does_not_wait_for_has_five_seconds_from_the_timeout",
    },
    test_once: {
        # Which attempt made a step that stands, no worker is told by the API.
        "test_what_cannot_be_kept_is_told_now_and_later_and_not_done_again",
        # They have the log of the test, or look into the ledger's calls.
        "test_what_cannot_even_be_read_is_not_done_again_and_why_is_logged",
    },
    test_follow_ups: {
        "test_where_the_settlements_answer_is_lost_they_follow_once",
        "test_heavy_settlements_go_to_the_ledger_in_several_calls",
        "test_a_conflict_makes_the_task_dead_at_once_and_counts_as_a_failure",
        "test_what_no_submit_may_ask_for_is_refused_at_once",
        # A worker by the API knows no home: the service refuses such names.
        "test_on_dynamodb_none_has_a_name_that_its_gateway_misreads",
    },
    test_worker_stopping: {
        # The worker's last claim may get it once more, and releases it, too.
        "test_what_fails_after_its_worker_was_told_to_stop_is_released",
        "test_a_program_that_a_signal_ended_up_to_half_a_second_before_the_stop_is_released",
        # How the attempt before ended, no worker asks by the API.
        "test_a_ledger_that_does_not_answer_is_asked_again",
        "test_what_is_held_back_keeps_its_slot_and_is_not_taken_for_unknown",
        "test_a_handler_that_fails_at_each_stop_is_released_once_in_a_row",
    },
}


def _tests() -> list[Any]:
    return [
        pytest.param(module, name, given, id=f"{name}-{number}")
        for module, left_out in MODULES.items()
        for name in vars(module)
        if name.startswith("test_") and name not in left_out
        for number, given in enumerate(_given(getattr(module, name)))
    ]


def _given(test: Any) -> list[dict[str, Any]]:
    """What a test is called with, each time."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    if not marks:
        return [{}]
    [mark] = marks
    names, values = mark.args
    several = [names] if isinstance(names, str) else names
    rows = [getattr(value, "values", value) for value in values]
    return [
        dict(zip(several, row if isinstance(row, tuple) else (row,), strict=True)) for row in rows
    ]


@pytest.mark.parametrize(("module", "name", "given"), _tests())
def test_it_holds_by_the_api(
    module: ModuleType, name: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (module, shop):
        monkeypatch.setattr(place, "stage", stage)
    getattr(module, name)(**given)
