"""Marks: rare things that must really happen over the default seeds, or they test nothing.

Each has a name and a look at a history that says whether it happened there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.simulation.facts import Attempt, Facts, Move
from tests.simulation.history import UNKNOWN, Event
from unlost.ledger.protocol import LeaseOver, Refused, Repeated
from unlost.ledger.values import Verdict
from unlost.limits.why import Reason
from unlost.task import Event as Happening
from unlost.task import Outcome


def _settled(move: Move, outcome: Outcome) -> bool:
    return move.what == "settle" and move.end is not None and move.end.outcome is outcome


def _excused(move: Move) -> bool:
    return move.what == "settle" and move.end is not None and move.end.excused


def _by_supervisor(move: Move, attempt: Attempt) -> bool:
    return attempt.worker.startswith(f"{move.who}.")


OfMove = Callable[[Facts, Move, Attempt], bool]

OF_MOVES: dict[str, OfMove] = {
    "a claim is released whose answer was lost": lambda facts, move, attempt: (
        _settled(move, Outcome.RELEASED) and attempt.heard is None and move.who == attempt.worker
    ),
    "an attempt is released by its worker's end": lambda facts, move, attempt: (
        _settled(move, Outcome.RELEASED) and bool(attempt.starts)
    ),
    "a program that the stop ended costs nothing": lambda facts, move, attempt: (
        _settled(move, Outcome.RELEASED) and attempt.how == "Killed"
    ),
    "a failure while its worker stops costs nothing": lambda facts, move, attempt: (
        _settled(move, Outcome.RELEASED) and attempt.how == "Failure" and not attempt.told
    ),
    "a late settlement is refused": lambda facts, move, attempt: (
        move.what == "refused"
        and attempt.ended is not None
        and attempt.ended > (attempt.fenced or 0)
    ),
    "a dead worker's attempt is lost": lambda facts, move, attempt: (
        _settled(move, Outcome.LOST) and attempt.worker in facts.ends
    ),
    "a living worker's attempt is lost": lambda facts, move, attempt: (
        _settled(move, Outcome.LOST) and (facts.end_of(attempt.worker) or 10**18) > move.at
    ),
    "a lost attempt was the last one": lambda facts, move, attempt: (
        _settled(move, Outcome.LOST) and move.end is not None and move.end.event is Happening.DIE
    ),
    "a task succeeds alone": lambda facts, move, attempt: (
        _settled(move, Outcome.SUCCEEDED) and attempt.alone
    ),
    "a worker times an attempt out": lambda facts, move, attempt: (
        _settled(move, Outcome.TIMED_OUT) and move.who == attempt.worker
    ),
    "a supervisor times an attempt out": lambda facts, move, attempt: (
        _settled(move, Outcome.TIMED_OUT) and _by_supervisor(move, attempt)
    ),
    "a task is rejected": lambda facts, move, attempt: (
        _settled(move, Outcome.FAILED) and attempt.how == "Reject"
    ),
    "a failure is excused that the handler asked for": lambda facts, move, attempt: (
        _excused(move) and attempt.excuse
    ),
    "a failure is excused by its breaker": lambda facts, move, attempt: (
        _excused(move) and not attempt.excuse
    ),
    "no more is excused": lambda facts, move, attempt: (
        _settled(move, Outcome.FAILED) and attempt.excuse and not _excused(move)
    ),
    "a handler asks for a longer wait": lambda facts, move, attempt: (
        move.end is not None and move.end.wait == round(attempt.asked * 1e6) > 0
    ),
}


def _calls(facts: Facts, name: str) -> Iterator[Event]:
    return (one for one in facts.events if one.what == "applied" and one.data[1] == name)


def _running_cancelled(facts: Facts) -> bool:
    ran = False
    for story in facts.accepted:
        for move in story.moves:
            if move.what == "cancel" and ran:
                return True
            ran = move.what == "claim"
    return False


def _runs_twice(facts: Facts) -> bool:
    """Whether a handler started while one of an earlier attempt of the same task still ran."""
    for story in facts.accepted:
        attempts = [one for _, one in sorted(story.attempts.items()) if one.starts]
        for before, after in pairwise(attempts):
            ends = (before.ended, facts.end_of(before.worker))
            if all(end is None or end > after.starts[0][0] for end in ends):
                return True
    return False


def _twice_written(facts: Facts) -> bool:
    lines = [event.data[0] for event in facts.events if event.what == "wrote"]
    return len(lines) > len(set(lines))


def _replayed_after_unknown(facts: Facts) -> bool:
    unknown = set()
    for event in facts.events:
        if event.what == "heard" and event.data[1] == "submit":
            if event.data[2] is UNKNOWN:
                unknown.add(event.who)
            elif event.who in unknown and event.data[2][0].verdict is Verdict.REPLAYED:
                return True
    return False


def _ended(role: str, how: str) -> Callable[[Facts], bool]:
    return lambda facts: any(
        name.startswith(role) and ("." in name) == (role == "host1.") and event.what == how
        for name, event in facts.ends.items()
    )


def _blocked_and_killed(facts: Facts) -> bool:
    blocked = {
        one.who for one in facts.events if one.what == "paused" and one.data == ("for ever",)
    }
    return any(name in facts.ends for name in blocked)


def _happened(what: str) -> Callable[[Facts], bool]:
    return lambda facts: any(event.what == what for event in facts.events)


def _waits(reason: Reason) -> Callable[[Facts], bool]:
    return lambda facts: any(
        event.what == "explained" and event.data[1] is reason for event in facts.events
    )


OF_WAITS = {
    f"a task waits: {reason}": _waits(reason)
    for reason in Reason
    if reason not in (Reason.ENDED, Reason.RUNNING)
}

OF_RUNS: dict[str, Callable[[Facts], bool]] = {
    **OF_WAITS,
    "a running task is cancelled": _running_cancelled,
    "a task runs twice at once": _runs_twice,
    "a death is logged twice": _twice_written,
    "a line of the log is not written": _happened("unwritten"),
    "an unknown submit turns out a replay": _replayed_after_unknown,
    "a submit is a conflict": lambda facts: any(
        one.answer.verdict is Verdict.CONFLICT for s in facts.accepted for one in s.answers
    ),
    "a lease is over": lambda facts: any(
        isinstance(one.data[3], LeaseOver) for one in _calls(facts, "claim")
    ),
    "a cancel is refused": lambda facts: any(
        isinstance(one.data[3], Refused) for one in _calls(facts, "cancel")
    ),
    "a worker is stuck": _happened("stuck"),
    "a blocked worker is killed": _blocked_and_killed,
    "a start takes too long": _happened("started too slowly"),
    "a worker is put down at the end of its grace": _happened("put down"),
    "a dead letter is redriven": lambda facts: any(
        one.data[3] is None for one in _calls(facts, "redrive")
    ),
    "a redrive comes twice": lambda facts: any(
        isinstance(one.data[3], Repeated) for one in _calls(facts, "redrive")
    ),
    "a dead letter is discarded": lambda facts: any(
        one.data[3] is None for one in _calls(facts, "discard")
    ),
    "a task is purged": lambda facts: any(one.data[3] for one in _calls(facts, "purge")),
    "the audit runs beside traffic": _happened("audited"),
    "a supervisor dies": _ended("host", "crashed"),
    "a supervisor ends in order": _ended("host", "exited"),
    "a sweeper dies": _ended("sweeper", "crashed"),
    "a monitor dies": _ended("monitor", "crashed"),
    "a client dies": _ended("client", "crashed"),
    "a worker ends in order": _ended("host1.", "exited"),
}

MARKS = frozenset({*OF_MOVES, *OF_RUNS})


def reached(facts: Facts, wanted: frozenset[str]) -> set[str]:
    """Those of the wanted marks that a history has."""
    found = {name for name, look in OF_RUNS.items() if name in wanted and look(facts)}
    looks = [(name, look) for name, look in OF_MOVES.items() if name in wanted]
    for story in facts.accepted:
        for move in story.moves:
            attempt = move.attempt
            if attempt is not None:
                found |= {name for name, look in looks if look(facts, move, attempt)}
    return found
