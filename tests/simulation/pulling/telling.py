"""What workers are told: which of their attempts run no more, what became of what they settled."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.facts import Attempt, Facts
from tests.simulation.history import Event
from unlost.ledger.values import Settlement
from unlost.task import Micros, Outcome, State

End = tuple[Micros, Settlement | None]
"""When and how an attempt ended; None: it was cancelled."""

CONFLICT = "FollowUpConflict"


def gone_is_told(facts: Facts) -> Iterator[str]:
    """Whoever asks what runs no more is told all that had ended before, and nothing that runs."""
    ends = _ends(facts)
    for event in facts.events:
        if event.what != "beat":
            continue
        since, listed = event.data
        for task_id, number, state in listed:
            attempt = facts.stories[task_id].attempts[number]
            deadline = attempt.claimed.deadline
            over = min(ends.get((task_id, number), (deadline, None))[0], deadline)
            if state is None and over < since:
                yield f"{event.who} was not told that {attempt.name} runs no more"
            elif state is not None and over > event.at:
                yield f"{event.who} was told that {attempt.name} is {state}, and it runs"
            elif state not in (None, *_states(facts, task_id, since, event.at)):
                yield f"{event.who} was told that {task_id} is {state}"


def _states(facts: Facts, task_id: str, since: Micros, until: Micros) -> set[str]:
    """The states that a task had in a time, the last one before it included."""
    found = {State.QUEUED.value}
    for at, state in facts.stories[task_id].states:
        if at <= since:
            found = set()
        if at <= until:
            found.add(state.value)
    return found


def results_are_true(facts: Facts) -> Iterator[str]:
    """200 means settled so, 409 otherwise, 422 that a follow-up is in conflict."""
    ends = _ends(facts)
    purged = False
    for event in facts.events:
        purged = purged or _purges(event)
        if event.what != "settled":
            continue
        task_id, number, outcome, status, _ = event.data
        attempt = facts.stories[task_id].attempts[number]
        deadline = attempt.claimed.deadline
        over, end = ends.get((task_id, number), (deadline, None))
        so = over <= event.at and end is not None and _is(attempt, end, outcome)
        conflict = end is not None and end.error is not None and end.error.type == CONFLICT
        right = {
            200: so and not conflict,
            409: min(over, deadline) <= event.at and (purged or not so or over > deadline),
            422: over <= event.at and conflict,
        }
        if not right.get(status):
            ended = "cancelled, or not yet" if end is None else end.outcome
            yield f"{event.who} was told {status} of {attempt.name}, {outcome}; it is {ended}"


def _purges(event: Event) -> bool:
    return event.what == "applied" and event.data[1] == "purge" and bool(event.data[3])


def _is(attempt: Attempt, end: Settlement, outcome: str) -> bool:
    """Whether the attempt has ended as its worker says."""
    if end.outcome.value != outcome:
        return False
    if end.outcome is not Outcome.FAILED:
        return True
    return end.error is not None and end.error.type == attempt.how


def _ends(facts: Facts) -> dict[tuple[str, int], End]:
    found: dict[tuple[str, int], End] = {}
    for story in facts.accepted:
        running: Attempt | None = None
        for move in story.moves:
            if move.what == "claim":
                running = move.attempt
            elif running is not None and move.what in ("settle", "cancel"):
                found[story.task_id, running.claimed.number] = (move.at, move.end)
                running = None
    return found
