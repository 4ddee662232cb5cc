"""The promise about dead letters: each death is reported at least once, and not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from tests.simulation.facts import Facts, Story
from tests.simulation.history import Event
from tests.simulation.scenario import Scenario
from unlost.ledger.values import Report
from unlost.task import Event as Happening
from unlost.task import Micros

Key = tuple[str, int]
"""A death: the task, and how many attempts it had had by then."""


class Death(NamedTuple):
    """A death as it was settled."""

    error_type: str
    message: str
    payload: str


class Grant(NamedTuple):
    """A report that was given to a monitor, until its lease ends."""

    at: Micros
    until: Micros


def deaths_of(story: Story) -> dict[Key, Death]:
    """All deaths of a task."""
    found: dict[Key, Death] = {}
    payload, count = story.submission.payload, 0
    for move in story.moves:
        if move.what == "claim":
            count += 1
        elif move.what == "redrive" and move.payload is not None:
            payload = move.payload
        elif move.what == "settle" and move.end is not None:
            count -= move.end.event is Happening.RELEASE
            if move.end.event is Happening.DIE:
                error = move.end.error
                kind, message = (error.type, error.message) if error else ("Unknown", "")
                found[(story.task_id, count)] = Death(kind, message, payload)
    return found


def reported(facts: Facts, scenario: Scenario) -> Iterator[str]:
    """Everything that is wrong with how deaths were reported."""
    desk = _Desk()
    for story in facts.accepted:
        desk.deaths |= deaths_of(story)
    for event in facts.events:
        yield from desk.take(event)
    if facts.all_ended:
        for task_id, count in sorted(desk.deaths.keys() - desk.written.keys()):
            yield f"the death of {task_id} after {count} attempts was never reported"


class _Desk:
    """What was given, written and recorded up to a moment of the history."""

    def __init__(self) -> None:
        self.deaths: dict[Key, Death] = {}
        self.written: dict[Key, set[str]] = {}  # by whom
        self._keys: dict[int, Key] = {}
        self._grants: dict[Key, dict[str, Grant]] = {}  # the last one, by whom
        self._recorded: set[Key] = set()

    def take(self, event: Event) -> Iterator[str]:
        if event.what == "wrote":
            yield from self._wrote(event)
        elif event.what == "applied" and event.data[1] == "claim_reports":
            yield from self._granted(event, event.data[2][1], event.data[3])
        elif event.what == "applied" and event.data[1] == "reported":
            for report_id in event.data[2][0]:
                key = self._keys.get(report_id)
                if key not in self.written:
                    yield f"the report of {key} was recorded before it was written"
                elif key is not None:
                    self._recorded.add(key)

    def _granted(self, event: Event, lease: Micros, reports: list[Report]) -> Iterator[str]:
        for report in reports:
            key = self._keys[report.id] = (report.task_id, report.attempt_count)
            grants = self._grants.setdefault(key, {})
            if any(grant.until > event.at for grant in grants.values()):
                yield f"the report of {key} was given to {event.who} while another one had it"
            if key in self._recorded:
                yield f"the report of {key} was given out again"
            grants[event.who] = Grant(event.at, event.at + lease)

    def _wrote(self, event: Event) -> Iterator[str]:
        told = msgspec.json.decode(event.data[0], type=Line)
        key = (told.taskId, told.attemptCount)
        grant = self._grants.get(key, {}).get(event.who)
        writers = self.written.setdefault(key, set())
        if grant is None:
            yield f"{event.who} wrote of {key}, which it was not given"
        elif key in self._recorded and event.at < grant.until:
            yield f"{key} was written again after its report was recorded"
        if event.who in writers:
            yield f"{event.who} wrote twice of {key}"
        writers.add(event.who)
        death = self.deaths.get(key)
        said = Death(told.error["type"], told.error["message"], bytes(told.payload).decode())
        if said != death:
            yield f"the report of {key} says {said}, and it was {death}"


class Line(msgspec.Struct):
    """The monitor's line, as far as the contract names it."""

    event: str
    level: str
    taskId: str  # noqa: N815  the contract's name
    payload: msgspec.Raw
    error: dict[str, Any]
    attemptCount: int  # noqa: N815  the contract's name
    submittedAt: str  # noqa: N815  the contract's name
