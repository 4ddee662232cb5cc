"""The promises about steps: recorded by the running attempt alone, made once until forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.facts import Facts
from tests.simulation.history import Event
from tests.simulation.scenario import Scenario
from unlost.effects import Forget, Recorded, Step
from unlost.ledger.values import Claimed, NewStep, StepLook

ONCE = "9: a recorded step is not made again, until a redrive forgets it"
FENCED = "9: only the running attempt makes and records steps"
KEYS = "9: a step's key is its own, and another once it was forgotten"


@dataclass(slots=True)
class _Task:
    """What a task's steps have come to."""

    running: str | None = None  # a token
    standing: dict[str, tuple[str | None, int]] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Attempt:
    """What stood when it was claimed, and how often names had been forgotten by then."""

    standing: frozenset[str]
    forgotten: dict[str, int]


class _Account:
    def __init__(self) -> None:
        self.tasks: dict[str, _Task] = {}
        self.attempts: dict[tuple[str, int], _Attempt] = {}
        self.numbers: dict[str, int] = {}  # by token
        self.keys: dict[tuple[str, str, int], str] = {}
        self.values: dict[tuple[str, str, int], str | None] = {}

    def task(self, task_id: str) -> _Task:
        return self.tasks.setdefault(task_id, _Task())

    def applied(self, name: str, args: tuple[Any, ...], answer: Any) -> Iterator[tuple[str, str]]:
        if name == "claim" or (name == "pull" and not answer.again):
            for one in answer if name == "claim" else answer.attempts:
                self._claimed(one)
        elif name == "settle":
            for end, held in zip(args[0], answer, strict=True):
                if held:
                    self.task(end.task_id).running = None
        elif name in ("cancel", "discard"):
            self.task(args[0]).running = None
        elif name == "redrive":
            self._forget(self.task(args[0]), args[-1].get("forget") or ())
        elif name == "look_step":
            task_id, token, step, *_ = args
            yield from self._looked(task_id, token, step, answer)
        elif name == "record_step":
            yield from self._recorded(args[0], answer)

    def _claimed(self, one: Claimed) -> None:
        task = self.task(one.task_id)
        task.running = one.token
        self.numbers[one.token] = one.number
        seen = _Attempt(frozenset(task.standing), dict(task.forgotten))
        self.attempts[one.task_id, one.number] = seen

    def _forget(self, task: _Task, forget: Forget) -> None:
        known = {name for name, _ in self._of(task)} | {*task.forgotten}
        for name in known if forget is True else forget:
            task.forgotten[name] = task.forgotten.get(name, 0) + 1
            task.standing.pop(name, None)

    def _of(self, task: _Task) -> Iterator[tuple[str, int]]:
        for task_id, name, times in self.values:
            if self.tasks[task_id] is task:
                yield name, times

    def _looked(
        self, task_id: str, token: str, name: str, answer: StepLook
    ) -> Iterator[tuple[str, str]]:
        task = self.task(task_id)
        if answer.running is not (task.running == token):
            yield FENCED, f"a look for {name} of {task_id} says that the attempt runs, or not"
        elif answer.running:
            known = _known(answer.step)
            if known != task.standing.get(name):
                told = f"what stands is {task.standing.get(name)}"
                yield ONCE, f"a look for {name} of {task_id} finds {known}; {told}"

    def _recorded(self, new: NewStep, answer: Recorded) -> Iterator[tuple[str, str]]:
        task, step = self.task(new.task_id), f"{new.name} of {new.task_id}"
        if answer is Recorded.NOT_RUNNING:
            if task.running == new.token:
                yield FENCED, f"the record of {step} was refused while its attempt ran"
            return
        if task.running != new.token:
            yield FENCED, f"{step} was recorded by an attempt that had ended"
            return
        value = (new.result, self.numbers[new.token])
        known = task.standing.setdefault(new.name, value)
        kept = known[0] == new.result
        if answer is not (Recorded.KEPT if kept else Recorded.ANOTHER):
            yield ONCE, f"the record of {step} is said to be {answer}; {known} stands"
        times = task.forgotten.get(new.name, 0)
        self.values.setdefault((new.task_id, new.name, times), known[0])

    def effect(self, task_id: str, number: int, name: str, key: str) -> Iterator[tuple[str, str]]:
        attempt = self.attempts[task_id, number]
        if name in attempt.standing:
            yield ONCE, f"{name} of {task_id} was recorded, and attempt {number} made it again"
        of = (task_id, name, attempt.forgotten.get(name, 0))
        known = self.keys.setdefault(of, key)
        others = [one for one, used in self.keys.items() if used == key and one != of]
        if known != key or others:
            yield KEYS, f"attempt {number} made {of} with {key}; before {known}, of {others}"

    def got(self, task_id: str, number: int, name: str, value: int) -> Iterator[tuple[str, str]]:
        times = self.attempts[task_id, number].forgotten.get(name, 0)
        recorded = self.values.get((task_id, name, times))
        if recorded is None or json.loads(recorded) != value:
            yield ONCE, f"attempt {number} got {value} for {name} of {task_id}, not {recorded}"


def _known(step: Step | None) -> tuple[str | None, int] | None:
    return None if step is None else (step.result, step.attempt)


def made_once(facts: Facts, scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What is wrong with steps, each under the promise that it breaks."""
    account = _Account()
    for event in facts.events:
        yield from _of_event(account, event)


def _of_event(account: _Account, event: Event) -> Iterator[tuple[str, str]]:
    if event.what == "applied" and not isinstance(event.data[3], Exception):
        yield from account.applied(event.data[1], event.data[2], event.data[3])
    elif event.what == "effect":
        yield from account.effect(*event.data)
    elif event.what == "got":
        yield from account.got(*event.data)
