"""Rare things that must really happen in runs with workers that claim by the API, or these test
nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.simulation.facts import Attempt, Facts, Move
from tests.simulation.history import Event
from unlost.ledger.protocol import LeaseOver
from unlost.task import Outcome


def _applied(facts: Facts, name: str) -> Iterator[Event]:
    return (one for one in facts.events if one.what == "applied" and one.data[1] == name)


def _pulled(look: Callable[[Any, Any], bool]) -> Callable[[Facts], bool]:
    def found(facts: Facts) -> bool:
        answers = (one.data for one in _applied(facts, "pull"))
        return any(
            look(args[0], answer)
            for _, _, args, answer in answers
            if not isinstance(answer, Exception)
        )

    return found


def _refused(name: str, kind: type[Exception]) -> Callable[[Facts], bool]:
    return lambda facts: any(isinstance(one.data[3], kind) for one in _applied(facts, name))


def _moved(look: Callable[[Facts, Move, Attempt], bool]) -> Callable[[Facts], bool]:
    def found(facts: Facts) -> bool:
        return any(
            look(facts, move, move.attempt)
            for story in facts.accepted
            for move in story.moves
            if move.what == "settle" and move.attempt is not None and move.attempt.pulled
        )

    return found


def _ended(outcome: Outcome) -> Callable[[Facts], bool]:
    return _moved(lambda facts, move, attempt: move.end is not None and move.end.outcome is outcome)


def _told(status: int) -> Callable[[Facts], bool]:
    return lambda facts: any(
        one.what == "settled" and one.data[3] == status for one in facts.events
    )


def _settled_twice(facts: Facts) -> bool:
    """Whether a worker heard only of a later call what an earlier one had done."""
    done = {
        (story.task_id, move.attempt.claimed.number): move.at
        for story in facts.accepted
        for move in story.moves
        if move.what == "settle" and move.attempt is not None
    }
    told = ((one.at, *one.data) for one in facts.events if one.what == "settled")
    return any(
        status == 200 and at - done[task_id, number] > 10_000
        for at, task_id, number, _, status, _ in told
    )


def _gone(state: str) -> Callable[[Facts], bool]:
    return lambda facts: any(
        told == state for one in facts.events if one.what == "beat" for _, _, told in one.data[1]
    )


def _shared(facts: Facts) -> bool:
    """Whether a task had attempts of both kinds."""
    return any(
        len({one.pulled for one in story.attempts.values()}) == 2 for story in facts.accepted
    )


def _step_of_another(facts: Facts) -> bool:
    made = {one.data[:3] for one in facts.events if one.what == "effect"}
    got = ((one.who, *one.data[:3]) for one in facts.events if one.what == "got")
    return any(
        who.startswith("puller") and step not in made for who, *of in got for step in [(*of,)]
    )


def _overlaps(facts: Facts) -> bool:
    """Whether a worker is given what runs alone while it still runs what has ended."""
    return any(
        other.fenced is not None and other.starts and (other.ended or 10**18) > attempt.at
        for attempt in facts.tokens.values()
        if attempt.pulled and attempt.alone and attempt.starts
        for other in facts.tokens.values()
        if other is not attempt and other.worker == attempt.worker and other.at < attempt.at
    )


MARKS: dict[str, Callable[[Facts], bool]] = {
    "a claim comes again, and gives the same": _pulled(lambda wanted, answer: answer.again),
    "a claim that waited gives something": _pulled(
        lambda wanted, answer: wanted.waits and bool(answer.attempts)
    ),
    "one is to be empty": _pulled(lambda wanted, answer: wanted.empties),
    "what was lost comes alone": _pulled(lambda wanted, answer: answer.alone),
    "a claim after the lease": _refused("pull", LeaseOver),
    "a beat after the lease": _refused("prolong", LeaseOver),
    "an attempt is lost": _ended(Outcome.LOST),
    "an attempt is timed out": _ended(Outcome.TIMED_OUT),
    "an attempt is released": _ended(Outcome.RELEASED),
    "an attempt is settled, and the answer lost": _settled_twice,
    "a settlement comes too late": _told(409),
    "a follow-up is in conflict": _told(422),
    "a worker is told of a cancel": _gone("cancelled"),
    "a worker is told that a task runs elsewhere": _gone("running"),
    "a task is run by workers of both kinds": _shared,
    "a step is another attempt's": _step_of_another,
    "what is alone comes while something has ended and runs on": _overlaps,
    "a service dies": lambda facts: any(name.startswith("api") for name in facts.ends),
}


def reached(facts: Facts, wanted: frozenset[str]) -> set[str]:
    """Those of the wanted marks that a history has."""
    return {name for name in wanted if MARKS[name](facts)}
