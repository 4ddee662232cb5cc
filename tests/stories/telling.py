"""What became of a task, in words without times, tokens or figures by chance."""

from __future__ import annotations

from collections.abc import Iterator

from tests.stories.machine import SETTINGS
from unlost.redrive import Redrive
from unlost.task import SECOND, Act, Attempt, Event, Micros, Outcome, Record, State


def news(before: Record | None, now: Record, where: str, clock: Micros) -> Iterator[str]:
    """What has changed, oldest first; `where` is the worker that runs it."""
    old = () if before is None else before.attempts
    known = {one.number for one in old if one.outcome is not None}
    for attempt in now.attempts:
        if attempt.outcome is not None and attempt.number not in known:
            yield _ended(attempt, now)
    for act in now.history[0 if before is None else len(before.history) :]:
        yield _act(act)
    if before is None or _standing(before) != _standing(now):
        yield _state(now, where, clock)


def sums(redrive: Redrive) -> str:
    """How far a redrive is."""
    far = (
        f"{redrive.redriven} of {redrive.selected} redriven, {redrive.succeeded} succeeded, "
        f"{redrive.died_again} died again, {redrive.under_way} under way, {redrive.left} left"
    )
    return f"{redrive.id}  {redrive.state}: {far}{f'; {redrive.why}' if redrive.why else ''}"


def _standing(record: Record) -> tuple[object, ...]:
    return record.state, record.attempt_count, record.redrive_count, record.purged_at


def _ended(attempt: Attempt, record: Record) -> str:
    how = f"attempt {attempt.number} {attempt.outcome}"
    if attempt.error is not None:
        return f"{how}: {attempt.error.type}: {attempt.error.message}"
    if record.state is State.SUCCEEDED and record.result is not None:
        return f"{how}: {record.result}"
    return how


def _act(act: Act) -> str:
    by = f" by {act.by}" if act.by else ""
    reason = f": {act.reason}" if act.reason else ""
    return f"{act.event}{by}{reason}"


def _state(record: Record, where: str, clock: Micros) -> str:
    if record.purged_at is not None:
        return f"{record.state}, purged"
    if record.state is State.RUNNING:
        return f"running, attempt {record.attempts[-1].number} {where}"
    if record.state is State.RETRYING:
        return f"retrying {_wait(record.attempts[-1], _retry(record))}"
    if record.state is State.DEAD:
        many = "s" if record.attempt_count > 1 else ""
        return f"dead after {record.attempt_count} attempt{many}"
    if record.state is State.QUEUED and record.due_at is not None and record.due_at > clock:
        return f"queued, due +{(record.due_at - clock) / SECOND:g} s"
    return record.state


def _retry(record: Record) -> int:
    """The number of the retry that comes next: what was spent since the submit or last redrive."""
    since = max((act.at for act in record.history if act.event is Event.REDRIVE), default=0)
    return sum(
        one.started_at >= since and one.outcome is not Outcome.RELEASED for one in record.attempts
    )


def _wait(attempt: Attempt, retry: int) -> str:
    """`+wait n` for a wait that is within what is promised before retry n, else its seconds."""
    assert attempt.next_attempt_at is not None
    assert attempt.finished_at is not None
    seconds = (attempt.next_attempt_at - attempt.finished_at) / SECOND
    longest = min(SETTINGS.backoff_cap, SETTINGS.backoff_base * 2 ** (retry - 1))
    return f"+wait {retry}" if longest / 2 <= seconds <= longest else f"+{seconds:g} s"
