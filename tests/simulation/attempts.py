"""The promises about attempts: settled once, counted before they run, alone after a loss, waits."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.facts import Attempt, Facts, Move, Story
from tests.simulation.scenario import HANDLER_LIMITS, Scenario
from unlost.ledger.values import Settlement
from unlost.policy import Limits
from unlost.task import SECOND, Event, Micros, Outcome


def settled_once(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """One attempt at a time, and only the running one settles."""
    running: Attempt | None = None
    over = False
    for move in story.moves:
        if move.what == "claim":
            if running is not None or over:
                yield f"{_name(move.attempt)} was claimed though the task ran or had ended"
            running = move.attempt
        elif move.what == "settle":
            if move.attempt is not running or running is None:
                yield f"a late settlement by {_name(move.attempt)} was accepted"
            over = move.end is not None and move.end.event in (Event.SUCCEED, Event.DIE)
            running = None
        elif move.what == "refused":
            if move.attempt is running and running is not None:
                yield f"the settlement of {running.name} was refused while it ran"
        else:
            over = move.what in ("cancel", "discard")
            running = None


def outcomes_are_true(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """An attempt is settled as what its handler did."""
    for move in story.moves:
        attempt, end = move.attempt, move.end
        if attempt is None or end is None or move.what != "settle":
            continue
        if end.outcome is Outcome.SUCCEEDED and attempt.how != "returned":
            yield f"{attempt.name} is said to have succeeded; its handler {attempt.how or 'ran'}"
        if end.outcome is Outcome.FAILED:
            kind = end.error.type.rsplit(".", 1)[-1] if end.error else None
            if kind != attempt.how and not _in_conflict(end):
                yield f"{attempt.name} failed with {kind}; its handler {attempt.how or 'ran'}"
        lasted = (move.at - attempt.at) / SECOND
        early = lasted < attempt.claimed.timeout - 0.001 and not scenario.rate("skew")
        if end.outcome is Outcome.TIMED_OUT and early:
            yield f"{attempt.name} timed out after {lasted:g} s"


def _in_conflict(end: Settlement) -> bool:
    return end.error is not None and end.error.type == "FollowUpConflict"


def follow(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """All that a handler submitted is there once its attempt has succeeded."""
    for move in story.moves:
        attempt, end = move.attempt, move.end
        if move.what != "settle" or attempt is None or end is None:
            continue
        if end.event is Event.SUCCEED:
            for task_id in facts.follows.get((story.task_id, attempt.claimed.number), ()):
                if task_id not in facts.stories or not facts.stories[task_id].accepted:
                    yield f"{attempt.name} succeeded, and {task_id} did not follow"


def counted(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """Every attempt is recorded before it runs, and no task has more than it may."""
    spent = 0
    for move in story.moves:
        attempt = move.attempt
        if move.what == "claim" and attempt is not None:
            spent += 1
            yield from _counted_right(attempt, spent, _limits(story, attempt, scenario))
        elif move.what == "settle" and move.end is not None and attempt is not None:
            spent -= move.end.outcome is Outcome.RELEASED or move.end.excused
            yield from _ended_in_time(move, spent, attempt)
        elif move.what == "redrive":
            spent = 0
    for attempt in story.attempts.values():
        yield from _started_right(attempt)


def _limits(story: Story, attempt: Attempt, scenario: Scenario) -> Limits:
    asked = story.submission
    handler = HANDLER_LIMITS[asked.type]
    return Limits(asked.max_retries, asked.timeout).filled(handler).filled(scenario.settings.limits)


def _counted_right(attempt: Attempt, spent: int, limits: Limits) -> Iterator[str]:
    claimed = attempt.claimed
    if claimed.spent != spent:
        yield f"{attempt.name} counts as number {claimed.spent}, and is number {spent}"
    if (claimed.max_retries, claimed.timeout) != (limits.max_retries, limits.timeout):
        yield f"{attempt.name} has other limits than were asked for"
    if limits.max_retries is not None and spent > limits.max_retries + 1:
        yield f"{attempt.name} is number {spent}, with {limits.max_retries} retries"


def _ended_in_time(move: Move, spent: int, attempt: Attempt) -> Iterator[str]:
    if move.end is None:
        return
    allowed = attempt.claimed.max_retries
    final = attempt.how == "Reject" or _in_conflict(move.end)
    rejected = move.end.outcome is Outcome.FAILED and final
    if move.end.event is Event.DIE and spent <= allowed and not rejected:
        yield f"the task died with attempt {spent} of {allowed + 1}"
    retried = move.end.event is Event.RETRY and not move.end.excused
    if retried and (spent > allowed or rejected):
        yield f"the task is tried again after attempt {spent} of {allowed + 1}"


def _started_right(attempt: Attempt) -> Iterator[str]:
    if len(attempt.starts) > 1:
        yield f"the handler of {attempt.name} started {len(attempt.starts)} times"
    for at, who in attempt.starts:
        if who != attempt.worker or attempt.heard is None or at < attempt.heard:
            yield f"the handler of {attempt.name} started in {who} before that knew of it"


def costs(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """Only an end in order costs nothing: a worker that dies has spent what it ran."""
    for move in story.moves:
        attempt, end = move.attempt, move.end
        if move.what != "settle" or attempt is None or end is None:
            continue
        orders = facts.orders.get(attempt.worker, ())
        in_order = bool({"leaving", "told to end", "put down"} & set(orders))
        if end.outcome is Outcome.RELEASED and attempt.starts and not in_order:
            yield f"{attempt.name} had started, and cost nothing"


SIGNAL_BEFORE = 0.4 * SECOND
"""How long after a program's end by a signal a stop certainly explains it, whatever the clocks."""


def stops_cost_nothing(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """What fails since its process stops is released, once in a row."""
    before: Outcome | None = None
    for move in story.moves:
        attempt, end = move.attempt, move.end
        if move.what == "cancel":
            before = Outcome.CANCELLED
        if move.what != "settle" or attempt is None or end is None:
            continue
        if move.who == attempt.worker and attempt.ended is not None:
            caused = _stop_caused(facts, attempt, attempt.ended)
            if end.outcome is Outcome.FAILED and caused and before is not Outcome.RELEASED:
                yield f"{attempt.name} failed as its worker stopped, and that has cost it"
            by_itself = attempt.how in FAILED and not attempt.told
            if end.outcome is Outcome.RELEASED and by_itself and before is Outcome.RELEASED:
                yield f"{attempt.name} failed, and is the second in a row that cost nothing"
        before = end.outcome


FAILED = frozenset({"Failure", "Retry", "Killed"})


def _stop_caused(facts: Facts, attempt: Attempt, ended: Micros) -> bool:
    stop = facts.drains.get(attempt.worker)
    if stop is None or attempt.how not in FAILED:
        return False
    return ended > stop or (attempt.how == "Killed" and stop - ended <= SIGNAL_BEFORE)


def alone(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """After a lost attempt the next one runs alone in its process; no other does."""
    lost = False
    for move in story.moves:
        if move.what == "settle" and move.end and move.end.outcome is not Outcome.RELEASED:
            lost = move.end.outcome is Outcome.LOST
        elif move.what == "claim" and move.attempt and move.attempt.alone is not lost:
            yield f"{_name(move.attempt)} runs {'with others' if lost else 'alone'}"


def neighbours(facts: Facts, scenario: Scenario) -> Iterator[str]:
    """What is to run alone in its process has nothing beside it."""
    for attempt in facts.tokens.values():
        if not attempt.alone or not attempt.starts:
            continue
        for other in facts.tokens.values():
            if other is not attempt and other.worker == attempt.worker and _overlap(attempt, other):
                yield f"{attempt.name} ran beside {other.name} of {other.claimed.task_id}"


def _overlap(one: Attempt, other: Attempt) -> bool:
    if not other.starts:
        return False
    latest = max(one.starts[0][0], other.starts[0][0])
    return latest < min(one.ended or 10**18, other.ended or 10**18)


def bounded(facts: Facts, scenario: Scenario) -> Iterator[str]:
    """However long settlements are held up, a worker has claimed no more than it has slots and
    one batch of what has ended."""
    for worker, attempts in _by_worker(facts).items():
        if attempts[0].pulled:
            continue
        slots = 1 if attempts[0].alone else scenario.settings.concurrency
        for one in attempts:
            running = sum(
                other.at <= one.at and (other.fenced is None or other.fenced > one.at)
                for other in attempts
            )
            if running > slots + scenario.batch:
                most = f"{slots} slots and a batch of {scenario.batch}"
                yield f"{worker} with {most} had {running} with {one.name}"


def _by_worker(facts: Facts) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = {}
    for attempt in facts.tokens.values():
        found.setdefault(attempt.worker, []).append(attempt)
    return found


def waits(facts: Facts, story: Story, scenario: Scenario) -> Iterator[str]:
    """Waits are as long as they have to be, and no attempt starts before its time."""
    due = 0
    for move in story.moves:
        if move.what == "accepted":
            due = move.at + story.submission.delay
        elif move.what == "claim":
            if move.at < due:
                early = (due - move.at) / SECOND
                yield f"{_name(move.attempt)} was claimed {early:g} s before its time"
        elif move.what == "settle" and move.end is not None and move.attempt is not None:
            due = move.at + (move.end.wait if move.end.event is Event.RETRY else 0)
            yield from _waits_enough(move.attempt, move.end, scenario)
        elif move.what == "redrive":
            due = move.at


def _waits_enough(attempt: Attempt, end: Settlement, scenario: Scenario) -> Iterator[str]:
    settings, wait = scenario.settings, end.wait
    if end.event is not Event.RETRY:
        return
    claimed = attempt.claimed
    retry = claimed.spent + (claimed.excused if end.excused else 0)
    longest = min(settings.backoff_cap, settings.backoff_base * 2 ** (retry - 1))
    asked = attempt.asked if end.outcome is Outcome.FAILED else 0.0
    low, high = (max(share * longest, asked) for share in (0.5, 1.0))
    if not low * SECOND - 1 <= wait <= high * SECOND + 1:
        yield f"the wait after {attempt.name} is {wait / SECOND:g} s, not {low:g} to {high:g}"


def _name(attempt: Attempt | None) -> str:
    if attempt is None:
        return "a stranger"
    return f"attempt {attempt.claimed.number} of {attempt.claimed.task_id}"
