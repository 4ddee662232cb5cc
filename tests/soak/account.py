"""Do the records, the effects, what clients were told and the log agree?  Pure.

Each check is a function that gives what is wrong, one line each.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.soak.evidence import Evidence, deaths
from unlost.task import TERMINAL, Attempt, Event, Outcome, Record, State

FAILURES = {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST}
MAX_RETRIES = 2
"""What the service is set to."""


def wrong(evidence: Evidence) -> list[str]:
    """Everything that is wrong."""
    found = list(_of_clients(evidence))
    for record in evidence.records.values():
        for check in CHECKS:
            found += [f"{record.task_id}: {fault}" for fault in check(record, evidence)]
    return found


def _of_clients(evidence: Evidence) -> Iterator[str]:
    """What was acknowledged is there, and nothing else; each task was new once."""
    for task_id, statuses in evidence.told.submit.items():
        if statuses.keys() & {200, 202} and task_id not in evidence.records:
            yield f"{task_id}: acknowledged, and not there"
        if statuses[202] > 1:
            yield f"{task_id}: accepted as new {statuses[202]} times"
    for task_id in evidence.records.keys() - evidence.told.submit.keys():
        yield f"{task_id}: there, and nobody was told so"
    for task_id, statuses in evidence.told.cancel.items():
        if statuses[200] and evidence.records[task_id].state is not State.CANCELLED:
            yield f"{task_id}: a client was told that it is cancelled"
        if statuses[200] > 1:
            yield f"{task_id}: cancelled {statuses[200]} times"
    for ran, number in evidence.effects.started:
        if ran not in evidence.records:
            yield f"{ran}: attempt {number} ran, and the task is not there"


def _is_over(record: Record, _: Evidence) -> Iterator[str]:
    if record.state not in TERMINAL:
        yield f"is {record.state} for ever"


def _starts_are_recorded(record: Record, evidence: Evidence) -> Iterator[str]:
    """An attempt that ran was recorded before, and ran once."""
    numbers = [attempt.number for attempt in record.attempts]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"its attempts have the numbers {numbers}"
    for attempt in record.attempts:
        started = evidence.effects.started.get((record.task_id, attempt.number), [])
        if len(started) > 1:
            yield f"attempt {attempt.number} ran {len(started)} times"
        if any(effect.at < attempt.started_at for effect in started):
            yield f"attempt {attempt.number} ran before it was recorded"
    if (record.task_id, len(numbers) + 1) in evidence.effects.started:
        yield f"attempt {len(numbers) + 1} ran and is not recorded"


def _outcomes_are_what_happened(record: Record, evidence: Evidence) -> Iterator[str]:
    """What the handler did decides, where its worker lived to tell."""
    for attempt in record.attempts:
        key = (record.task_id, attempt.number)
        returned, raised = evidence.effects.returned.get(key), evidence.effects.raised.get(key)
        if attempt.outcome is Outcome.SUCCEEDED and not returned:
            yield f"attempt {attempt.number} succeeded without an effect"
        if attempt.outcome is Outcome.FAILED and not raised:
            yield f"attempt {attempt.number} failed, and its handler did not raise"
        if returned and raised:
            yield f"attempt {attempt.number} both returned and raised"


def _one_attempt_decided(record: Record, evidence: Evidence) -> Iterator[str]:
    """The last attempt, and no stale one, made a task succeed or die."""
    outcomes = [attempt.outcome for attempt in record.attempts]
    succeeded = [n for n, outcome in enumerate(outcomes, 1) if outcome is Outcome.SUCCEEDED]
    expected = [len(outcomes)] if record.state is State.SUCCEEDED else []
    if succeeded != expected:
        yield f"is {record.state}; attempts {succeeded} of {len(outcomes)} succeeded"
    if record.state is State.DEAD and outcomes[-1:] and outcomes[-1] not in FAILURES:
        yield f"is dead after an attempt that was {outcomes[-1]}"
    if record.state is not State.SUCCEEDED:
        if record.result is not None:
            yield f"is {record.state} and has a result"
        return
    result = json.loads(record.result or "{}")
    [effect] = evidence.effects.returned.get((record.task_id, len(outcomes)), [None])
    if effect and result != {"number": len(outcomes), "nonce": effect.nonce}:
        yield f"has the result {record.result}, and attempt {len(outcomes)} gave {effect.nonce}"


def _attempts_are_bounded(record: Record, _: Evidence) -> Iterator[str]:
    """No more than allowed, none given up before, and each start of a fresh set by a redrive."""
    most = (MAX_RETRIES if record.max_retries is None else record.max_retries) + 1
    counted = [one for one in record.attempts if one.outcome is not Outcome.RELEASED]
    if len(counted) != record.attempt_count:
        yield f"{record.attempt_count} attempts are counted, {len(counted)} there"
    for spent in _sets(record, counted):
        if len(spent) > most:
            yield f"had {len(spent)} attempts of {most}"
    if record.state is State.DEAD:
        rejected = record.error is not None and record.error.type == "Reject"
        if len(_sets(record, counted)[-1]) < most and not rejected:
            yield f"was given up before its {most} attempts"


def _sets(record: Record, attempts: list[Attempt]) -> list[list[Attempt]]:
    """The attempts since the submit, and since each redrive."""
    redriven = [act.at for act in record.history if act.event is Event.REDRIVE]
    bounds = [0, *redriven, 1 << 62]
    return [
        [one for one in attempts if start <= one.started_at < end]
        for start, end in pairwise(bounds)
    ]


def _one_at_a_time(record: Record, _: Evidence) -> Iterator[str]:
    for before, after in pairwise(record.attempts):
        if before.finished_at is None or after.started_at < before.finished_at:
            yield f"attempt {after.number} started before {before.number} had ended"


def _deaths_are_reported(record: Record, evidence: Evidence) -> Iterator[str]:
    reported, died = evidence.reports[record.task_id], deaths(record)
    if reported < died:
        yield f"died {died} times, and {reported} deaths are in the log"
    if reported and not died:
        yield "is in the log as dead, and never was"


def _lost_once(record: Record, evidence: Evidence) -> Iterator[str]:
    """The log calls no attempt lost that another one, or a cancel, has settled."""
    lost = sum(attempt.outcome is Outcome.LOST for attempt in record.attempts)
    if evidence.lost[record.task_id] > lost:
        yield f"lost {lost} attempts, and {evidence.lost[record.task_id]} by the log"


CHECKS: tuple[Callable[[Record, Evidence], Iterator[str]], ...] = (
    _is_over,
    _starts_are_recorded,
    _outcomes_are_what_happened,
    _one_attempt_decided,
    _attempts_are_bounded,
    _one_at_a_time,
    _deaths_are_reported,
    _lost_once,
)


def summary(evidence: Evidence) -> dict[str, object]:
    """What happened, in numbers."""
    attempts = {
        (record.task_id, one.number): one.outcome
        for record in evidence.records.values()
        for one in record.attempts
    }
    ended = evidence.effects.returned.keys() | evidence.effects.raised.keys()
    refused = [key for key in ended if attempts[key] in {Outcome.LOST, Outcome.TIMED_OUT}]
    repeated = [key[0] for key in evidence.effects.returned]
    return {
        "tasks": len(evidence.records),
        "states": dict(Counter(record.state.value for record in evidence.records.values())),
        "attempts": dict(Counter(str(outcome) for outcome in attempts.values())),
        "redriven": sum(record.redrive_count for record in evidence.records.values()),
        "endings of attempts settled by others": len(refused),
        "tasks whose effect happened twice": sum(n > 1 for n in Counter(repeated).values()),
        "deaths": sum(map(deaths, evidence.records.values())),
        "reports of deaths": evidence.reports.total(),
    }
