"""Plays what a call does against replies that are written down, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from unlost.client.core.retrying import Retries
from unlost.client.core.wire import NOTHING, Answer, NoAnswer, Pause, Reply, Request, Steps

T = TypeVar("T")

CUT = NoAnswer("the connection broke")


@dataclass(frozen=True)
class After:
    """A reply that comes after so many seconds."""

    seconds: float
    reply: Reply


@dataclass
class Play:
    """A service that replies as it is written, and what it was asked; `draw` is the chance."""

    replies: Iterable[Reply | After]
    draw: float = 1.0
    now: float = 0.0
    asked: list[Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = list(self.replies)

    def retries(self, retry_for: float = 60.0) -> Retries:
        return Retries(retry_for, lambda: self.now, lambda: self.draw)

    def run(self, steps: Steps[T]) -> T:
        """What the steps come to."""
        step = next(steps)
        try:
            while True:
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    self.now += step.seconds
                    step = steps.send(NOTHING)
                else:
                    self.asked.append(step)
                    step = steps.send(self._next())
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _next(self) -> Reply:
        reply = self.left.pop(0)
        if isinstance(reply, After):
            self.now += reply.seconds
            return reply.reply
        return reply


def task(task_id: str = "a", state: str = "queued", status: int = 200, **more: object) -> Answer:
    """A task as a service answers it."""
    at = "2026-01-01T00:00:00Z"
    members = {"taskId": task_id, "type": "default", "state": state, "submittedAt": at}
    return Answer(status, json.dumps(members | more).encode())


def problem(status: int, detail: str = "because", retry_after: str = "", date: str = "") -> Answer:
    """A refusal as a service answers it."""
    body = {"type": "urn:unlost:problem:x", "title": "X", "status": status, "detail": detail}
    return Answer(status, json.dumps(body).encode(), retry_after, date)


def results(*statuses: int, retry_after: str = "") -> Answer:
    """The answer to a batch."""
    found = [
        {"taskId": f"t{at}", "status": status, "detail": f"said {status}"}
        for at, status in enumerate(statuses)
    ]
    return Answer(200, json.dumps({"results": found}).encode(), retry_after)


def paths(asked: Iterable[Request]) -> list[str]:
    return [f"{one.method} {one.path}" for one in asked]
