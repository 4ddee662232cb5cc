"""What every record keeps, whatever happened: one small function for each promise.

Each takes an entry and says what is wrong with it, or nothing.  They hold between any two steps
of a ledger, so they may run beside live traffic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from unlost.ledger.values import Entry
from unlost.task import Attempt, Event, Outcome, State

Promise = Callable[[Entry], str | None]

WAITING = frozenset({State.QUEUED, State.RETRYING})
OPEN = WAITING | {State.RUNNING}
FAILURES = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST})


def broken(entry: Entry) -> dict[str, str]:
    """The promises that this entry breaks, each with what is wrong."""
    promises = PROMISES
    if entry.record.purged_at is None:
        promises = PROMISES | UNTIL_PURGED
    found = {name: promise(entry) for name, promise in promises.items()}
    return {name: wrong for name, wrong in found.items() if wrong is not None}


def _digest(entry: Entry) -> str | None:
    return None if entry.record.digest else "there is no digest"


def _held(entry: Entry) -> str | None:
    """A token and a worker are there exactly while the task runs."""
    running = entry.record.state is State.RUNNING
    for name, value in (("token", entry.token), ("worker", entry.worker)):
        if running and not value:
            return f"the task is running without a {name}"
        if not running and value is not None:
            return f"the task is {entry.record.state} and has a {name}"
    return None


def _claimable(entry: Entry) -> str | None:
    waits = entry.record.state in WAITING
    if waits and not entry.claimable:
        return f"the task is {entry.record.state}, and no claim can find it"
    if waits and entry.record.due_at is None:
        return f"the task is {entry.record.state} and never due"
    if not waits and entry.claimable:
        return f"the task is {entry.record.state}, and a claim can find it"
    return None


def _dead_letter(entry: Entry) -> str | None:
    dead = entry.record.state is State.DEAD
    if dead and entry.dead_letter is None:
        return "the task is dead and not among the dead letters"
    if not dead and entry.dead_letter is not None:
        return f"the task is {entry.record.state} and among the dead letters"
    return None


def _spent(entry: Entry) -> str | None:
    record = entry.record
    if not 0 <= entry.spent <= record.attempt_count:
        return f"{entry.spent} of {record.attempt_count} attempts are counted as spent"
    # Only while it waits for a retry that was spent: a limit lowered since then also leaves a task
    # with more than allowed.
    allowed, last = record.max_retries, record.attempts[-1:]
    waits = record.state is State.RETRYING and not any(attempt.excused for attempt in last)
    if waits and allowed is not None and entry.spent > allowed:
        return f"{entry.spent} attempts were made, and {allowed} retries allowed, and one waits"
    excused = record.excused_count if record.state is State.RETRYING else 0
    if record.state in {State.RUNNING, State.RETRYING} and entry.spent + excused == 0:
        return f"the task is {record.state} without an attempt"
    return None


def _purged(entry: Entry) -> str | None:
    record = entry.record
    if record.purged_at is None:
        return None
    if record.state not in {State.SUCCEEDED, State.CANCELLED}:
        return f"the task is {record.state} and was purged"
    return "attempts are left after the purge" if record.attempts else None


def _numbers(entry: Entry) -> str | None:
    numbers = [attempt.number for attempt in entry.record.attempts]
    if numbers != list(range(1, len(numbers) + 1)):
        return f"the attempts have the numbers {numbers}"
    return None


def _counted(entry: Entry) -> str | None:
    outcomes = [attempt.outcome for attempt in entry.record.attempts]
    counted = len(outcomes) - outcomes.count(Outcome.RELEASED)
    if entry.record.attempt_count != counted:
        return f"{entry.record.attempt_count} attempts are counted, {counted} are there"
    return None


_EXCUSABLE = {Outcome.FAILED, Outcome.TIMED_OUT}


def _excused(entry: Entry) -> str | None:
    """What was excused failed or timed out, spent nothing, and was tried again."""
    record = entry.record
    excused = [attempt for attempt in record.attempts if attempt.excused]
    for attempt in excused:
        if attempt.outcome not in _EXCUSABLE or attempt.next_attempt_at is None:
            return f"attempt {attempt.number} was excused, and {attempt.outcome or 'runs'}"
    free, counted = len(excused), record.excused_count
    # A process of an older version may have forgotten the count of a task that is over.
    if counted > free or (_first_set(entry) and record.state in OPEN and counted < free):
        return f"{counted} attempts are counted as excused, {free} are"
    left = record.attempt_count - entry.spent - free
    if left < 0 or (_first_set(entry) and left > 0):
        return f"{entry.spent} attempts are spent and {free} excused of {record.attempt_count}"
    return None


def _first_set(entry: Entry) -> bool:
    """Whether all its attempts are of one set, since it was never redriven."""
    return entry.record.redrive_count == 0


def _one_runs(entry: Entry) -> str | None:
    """The last attempt of a running task has not ended; all others have."""
    running = entry.record.state is State.RUNNING
    expected = [entry.record.attempts[-1].number if entry.record.attempts else 1] if running else []
    unfinished = [attempt.number for attempt in entry.record.attempts if not _ended(attempt)]
    if unfinished != expected:
        return f"the task is {entry.record.state}; the unfinished attempts are {unfinished}"
    return None


def _ended(attempt: Attempt) -> bool:
    return attempt.outcome is not None and attempt.finished_at is not None


def _one_settles(entry: Entry) -> str | None:
    """A task that succeeded did so in one attempt, its last; no other task did."""
    succeeded = [
        attempt.number for attempt in entry.record.attempts if attempt.outcome is Outcome.SUCCEEDED
    ]
    last = [len(entry.record.attempts)] if entry.record.state is State.SUCCEEDED else []
    if succeeded != last:
        return f"the task is {entry.record.state}; the attempts that succeeded are {succeeded}"
    return None


def _says_why(entry: Entry) -> str | None:
    """What failed for good, or will be tried again, failed in its last attempt."""
    record = entry.record
    if record.state not in {State.DEAD, State.RETRYING}:
        return None
    last = record.attempts[-1].outcome if record.attempts else None
    if last not in FAILURES:
        return f"the task is {record.state}, and its last attempt {last or 'is missing'}"
    if record.state is State.DEAD and record.error is None:
        return "the task is dead and has no error"
    return None


def _times(entry: Entry) -> str | None:
    for attempt in entry.record.attempts:
        if attempt.finished_at is not None and attempt.finished_at < attempt.started_at:
            return f"attempt {attempt.number} ended before it started"
    return None


def _waits(entry: Entry) -> str | None:
    """No attempt starts before the time that the one before it left."""
    attempts, record = entry.record.attempts, entry.record
    for attempt in attempts:
        due = attempt.next_attempt_at
        if due is not None and due < (attempt.finished_at or attempt.started_at):
            return f"the wait after attempt {attempt.number} is less than nothing"
    for before, after in pairwise(attempts):
        if before.next_attempt_at is not None and after.started_at < before.next_attempt_at:
            return f"attempt {after.number} started before its time"
    if (
        record.state is State.RETRYING
        and attempts
        and attempts[-1].next_attempt_at != record.due_at
    ):
        return "the task is not due when its last attempt said"
    return None


def _history(entry: Entry) -> str | None:
    acts = [act.event for act in entry.record.history]
    redriven = acts.count(Event.REDRIVE)
    if redriven != entry.record.redrive_count:
        return f"{entry.record.redrive_count} redrives are counted, {redriven} are in the history"
    ended = bool(acts) and acts[-1] in {Event.CANCEL, Event.DISCARD}
    if ended is not (entry.record.state is State.CANCELLED):
        return f"the task is {entry.record.state}; the history's last act is {acts[-1:]}"
    return None


def _once(entry: Entry) -> str | None:
    """No redrive took it twice."""
    taken = Counter(act.redrive for act in entry.record.history if act.redrive is not None)
    twice = [name for name, times in taken.items() if times > 1]
    return f"the redrives {twice} took the task more than once" if twice else None


def _steps(entry: Entry) -> str | None:
    """Each step is of one attempt, which there is."""
    names = Counter(step.name for step in entry.steps)
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        return f"the steps {twice} are recorded more than once"
    known = {attempt.number for attempt in entry.record.attempts}
    strange = [step.name for step in entry.steps if step.attempt not in known]
    return f"no attempt recorded the steps {strange}" if strange else None


def _declared(entry: Entry) -> str | None:
    """Whatever happened did in an attempt that there is."""
    known = {attempt.number for attempt in entry.record.attempts}
    strange = [effect.name for effect in entry.declared if effect.attempt not in known]
    return f"no attempt declared the effects {strange}" if strange else None


def _forgotten(entry: Entry) -> str | None:
    """Only redrives forget, and what was forgotten is counted."""
    forgotten, redrives = entry.forgotten, entry.record.redrive_count
    if any(not 0 < times <= redrives for times in forgotten.values()):
        return f"names were forgotten {forgotten}, in {redrives} redrives"
    gone = [step.name for step in entry.steps if not step.stands and step.name not in forgotten]
    return f"the steps {gone} were forgotten, and are not counted" if gone else None


def _calls(entry: Entry) -> str | None:
    calls = [act.call.partition(" ")[0] for act in entry.record.history if act.call is not None]
    twice = next((call for call in calls if calls.count(call) > 1), None)
    return None if twice is None else f"the call {twice} was done twice"


PROMISES: dict[str, Promise] = {
    "a replay can be told": _digest,
    "a token is held exactly while the task runs": _held,
    "what waits can be claimed, and nothing else": _claimable,
    "dead letters are the dead tasks": _dead_letter,
    "no more attempts than allowed": _spent,
    "only what is over is purged": _purged,
    "a redrive takes each letter once": _once,
}

UNTIL_PURGED: dict[str, Promise] = {
    "attempts are numbered without gaps": _numbers,
    "attempts are counted": _counted,
    "excused failures spend nothing": _excused,
    "one attempt at a time": _one_runs,
    "settled by exactly one attempt": _one_settles,
    "dead letters say why": _says_why,
    "times run forward": _times,
    "waits are kept": _waits,
    "what people did is kept": _history,
    "a call that comes twice is done once": _calls,
    "no step is of two attempts": _steps,
    "effects are of attempts": _declared,
    "what redrives forget of steps is counted": _forgotten,
}
