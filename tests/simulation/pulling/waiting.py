"""What waits: tasks that are due, and claims for something to do."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.facts import Facts, Story
from unlost.task import Event, Micros, Outcome


def waits(story: Story) -> Iterator[tuple[Micros, Micros, bool]]:
    """From when and until when a task was due and did not run; whether it was to run alone."""
    due: Micros | None = None
    lone = False
    for move in story.moves:
        if move.what == "accepted":
            due, lone = move.at + story.submission.delay, False
        elif move.what == "claim" and due is not None:
            yield due, move.at, lone
            due = None
        elif move.what == "settle" and move.end is not None:
            again = move.end.event in (Event.RETRY, Event.RELEASE)
            due = move.at + move.end.wait if again else None
            if move.end.outcome is not Outcome.RELEASED:
                lone = move.end.outcome is Outcome.LOST
        elif move.what == "redrive":
            due = move.at
        elif move.what in ("cancel", "discard"):
            due = None


def claims_that_wait(facts: Facts) -> Iterator[tuple[Micros, Micros]]:
    """From when and until when a worker waited for something to do."""
    began: dict[str, Micros] = {}
    for event in facts.events:
        if event.what == "claims":
            began[event.who] = event.at
        elif event.what == "given" and event.who in began:
            yield began.pop(event.who), event.at
