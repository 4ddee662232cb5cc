"""Failures that were nobody's fault: kept, counted apart, and no more of them than are excused."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.facts import Attempt, Facts, Story
from tests.simulation.rules import excuses
from tests.simulation.scenario import Scenario
from unlost.ledger.values import Settlement
from unlost.task import Outcome, Record


def spend_nothing(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """Each claim knows how many were excused since the submit or the last redrive, and these are
    no more than may be."""
    excused = 0
    for move in story.moves:
        if move.what == "claim" and move.attempt is not None:
            if move.attempt.claimed.excused != excused:
                told = f"{move.attempt.claimed.excused} excused before it, and there were {excused}"
                yield f"{move.attempt.name} knows of {told}"
        elif move.what == "settle" and move.end is not None:
            excused += move.end.excused
            if excused > scenario.settings.max_excused:
                yield f"{story.task_id} was excused {excused} times"
        elif move.what == "redrive":
            excused = 0


def are_asked_for(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """What a handler or a breaker has asked for, as often as it may be, and no other."""
    may = any(excuses(rule) and rule.type == story.submission.type for rule in scenario.rules)
    excused = 0
    for move in story.moves:
        attempt, end = move.attempt, move.end
        if move.what == "settle" and attempt is not None and end is not None:
            asked = attempt.excuse and end.outcome is Outcome.FAILED
            if asked and not end.excused and excused < scenario.settings.max_excused:
                yield f"{attempt.name} asked to be excused, and was not"
            if end.excused and not (asked or may):
                yield f"{attempt.name} was excused, and nobody had asked for it"
            if end.excused and not _may_be(attempt, end, breaker=may):
                yield f"{attempt.name} was excused, and is {end.outcome}"
            excused += end.excused
        elif move.what == "redrive":
            excused = 0


def _may_be(attempt: Attempt, end: Settlement, *, breaker: bool) -> bool:
    if end.outcome is Outcome.TIMED_OUT:
        return breaker
    return end.outcome is Outcome.FAILED and attempt.how != "Reject"


def are_kept(story: Story, record: Record) -> Iterator[str]:
    """The attempts of the record are marked as they were excused."""
    ended = [(move.attempt, move.end) for move in story.moves if move.what == "settle"]
    excused = [by.claimed.number for by, end in ended if by and end and end.excused]
    kept = [attempt.number for attempt in record.attempts if attempt.excused]
    if kept != excused:
        yield f"{story.task_id} has the excused attempts {kept}, and there were {excused}"
