"""The checker: whether a history keeps each promise of the contract.

It reads the events, and what the ledger says at the end through its protocol; never its inside.
Each promise is one function from the facts to what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from tests.simulation import attempts, excuses, leases, rates, reporting, stepping
from tests.simulation.declaring import DECLARED, recorded
from tests.simulation.facts import FOLLOWED, Facts, Story
from tests.simulation.history import Event
from tests.simulation.pulling import promises
from tests.simulation.referee import Final
from tests.simulation.scenario import Scenario
from unlost import carried
from unlost.ledger.values import Verdict
from unlost.task import TERMINAL, Outcome, Record
from unlost.task import Event as Happening

NOTHING_IS_LOST = "2: nothing is lost"
ONE_TASK = "3: one task per id"
DONE_ONCE = "3: what comes twice is done once"
SETTLED_ONCE = "4: settled once"
COUNTED = "5: attempts are counted before they run"
COSTS = "5: only an end in order costs nothing"
EXCUSED = "fine print: what is excused spends no retry, and is kept"
ALONE = "5: alone after a loss"
BOUNDED = "5: no more at once than slots and a batch"
LOST = "5: only the dead are lost"
BACKOFF = "6: backoff"
REPORTS = "7: dead letters are reported"
SUMS = "8: it adds up"
TOLD = "fine print: what is over is told so, and ends"
RATES = "fine print: no more start a second than the rate"
EXPLAINED = "fine print: why a task waits is true"
WORKS = "0: what runs does not fail"


class Broken(msgspec.Struct, frozen=True):
    """A promise that was broken, and how."""

    promise: str
    detail: str


OfStory = Callable[[Facts, Story, Scenario], Iterator[str]]

OF_STORIES: tuple[tuple[str, OfStory], ...] = (
    (SETTLED_ONCE, attempts.settled_once),
    (SETTLED_ONCE, attempts.outcomes_are_true),
    (COUNTED, attempts.counted),
    (COSTS, attempts.costs),
    (COSTS, attempts.stops_cost_nothing),
    (EXCUSED, excuses.spend_nothing),
    (EXCUSED, excuses.are_asked_for),
    (ALONE, attempts.alone),
    (BACKOFF, attempts.waits),
    (FOLLOWED, attempts.follow),
)

OF_ALL: tuple[tuple[str, Callable[[Facts, Scenario], Iterator[str]]], ...] = (
    (ALONE, attempts.neighbours),
    (BOUNDED, attempts.bounded),
    (RATES, rates.kept_to),
    (LOST, leases.only_the_dead_are_lost),
    (REPORTS, reporting.reported),
    (TOLD, leases.told_in_time),
)


def check(
    scenario: Scenario, events: Sequence[Event], final: Final, *, settled: bool
) -> list[Broken]:
    """Every promise that the history breaks.  `settled`: all was done within the bound."""
    facts = Facts(events)
    broken = [Broken(promise, detail) for promise, detail in facts.wrong]
    for story in facts.stories.values():
        broken += [Broken(ONE_TASK, detail) for detail in one_task(story, final)]
        if not story.accepted:
            continue
        for promise, of_story in OF_STORIES:
            broken += [Broken(promise, detail) for detail in of_story(facts, story, scenario)]
        broken += [Broken(*one) for one in at_the_end(story, final.records[story.task_id])]
    for task_id, record in final.records.items():
        if record is not None and carried.parent(record.carried) is not None:
            broken += [Broken(FOLLOWED, detail) for detail in _followed(facts, task_id)]
    if any(story.moves and not story.accepted for story in facts.stories.values()):
        return broken  # tasks from nowhere, of which the rest cannot be told
    for promise, of_all in OF_ALL:
        broken += [Broken(promise, detail) for detail in of_all(facts, scenario)]
    broken += [Broken(*one) for one in stepping.made_once(facts, scenario)]
    if scenario.pull is not None:
        broken += [Broken(*one) for one in promises.broken(facts, scenario)]
    broken += [Broken(DECLARED, detail) for detail in recorded(facts, scenario, final)]
    return broken + list(_overall(scenario, facts, final, settled=settled))


def _followed(facts: Facts, task_id: str) -> Iterator[str]:
    """What is there as a follow-up has followed from a settlement that held."""
    if task_id not in facts.stories or not facts.stories[task_id].accepted:
        yield f"{task_id} is there, and no success has brought it"


def one_task(story: Story, final: Final) -> Iterator[str]:
    """An id is accepted once; after that what is equal is a replay, all else a conflict."""
    first = None
    for at, submission, answer in story.answers:
        if first is None:
            expected = Verdict.ACCEPTED
        else:
            same = submission.digest == first.digest
            expected = Verdict.REPLAYED if same else Verdict.CONFLICT
        if answer.verdict is not expected:
            yield f"a submit of {story.task_id} at {at} is {answer.verdict}, not {expected}"
        first = first or submission
    record = final.records.get(story.task_id)
    if record is not None and first is not None:
        payload = next((m.payload for m in reversed(story.moves) if m.payload), first.payload)
        kept = payload if record.purged_at is None else None
        if (record.digest, record.payload) != (first.digest, kept):
            yield f"{story.task_id} holds what was not first submitted: {record.payload}"


def at_the_end(story: Story, record: Record | None) -> Iterator[tuple[str, str]]:
    """What the ledger says of a task is what happened to it."""
    if record is None:
        yield NOTHING_IS_LOST, f"{story.task_id} was accepted, and is not there"
        return
    if record.state is not story.state:
        yield NOTHING_IS_LOST, f"{story.task_id} is {record.state}, and should be {story.state}"
    ends = [m.end for m in story.moves if m.what == "settle" and m.end is not None]
    released = sum(end.outcome is Outcome.RELEASED for end in ends)
    claims = sum(move.what == "claim" for move in story.moves)
    if record.attempt_count != claims - released:
        told = f"{record.attempt_count} attempts, and there were {claims} less {released}"
        yield COUNTED, f"{story.task_id} counts {told}"
    if record.purged_at is not None:
        if record.state not in TERMINAL or record.attempts:
            yield NOTHING_IS_LOST, f"{story.task_id} is {record.state}, and was purged"
        return
    for told in excuses.are_kept(story, record):
        yield EXCUSED, told
    outcomes = [attempt.outcome for attempt in record.attempts]
    if outcomes != list(_outcomes(story)):
        yield COUNTED, f"{story.task_id} has the attempts {outcomes}"
    if ends and ends[-1].event is Happening.SUCCEED and record.result is None:
        yield NOTHING_IS_LOST, f"the result of {story.task_id} is lost"


def _outcomes(story: Story) -> Iterator[Outcome | None]:
    """How the task's attempts ended, in their order."""
    runs = False
    for move in story.moves:
        if move.what == "settle" and move.end is not None:
            yield move.end.outcome
            runs = False
        elif move.what == "cancel" and runs:
            yield Outcome.CANCELLED
            runs = False
        runs = runs or move.what == "claim"
    if runs:
        yield None


def _overall(scenario: Scenario, facts: Facts, final: Final, *, settled: bool) -> Iterator[Broken]:
    """The run ended well, and the audit has nothing to say."""
    if not settled and not facts.all_ended:
        bound = f"{scenario.bound:.0f} s after the last fault"
        open_ones = [story.task_id for story in facts.accepted if story.state not in TERMINAL]
        yield Broken(NOTHING_IS_LOST, f"{', '.join(open_ones)} did not end within {bound}")
    elif final.unreported:
        yield Broken(REPORTS, f"{final.unreported} deaths are not reported at the end")
    elif not settled:
        yield Broken(TOLD, "a handler runs on after all tasks have ended")
    for one in final.audit.violations:
        yield Broken(SUMS, f"audit: {one.task_id}: {one.promise}: {one.detail}")
    for event in facts.events:
        if event.what == "audited" and not event.data[0]:
            yield Broken(SUMS, f"audit beside traffic: {event.data[1]}")
        if event.what == "explained" and event.data[2]:
            yield Broken(EXPLAINED, f"at {event.at}: {'; '.join(event.data[2])}")
