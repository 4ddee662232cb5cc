"""Whether and when a call is made again: pure but for the clock and the chance it is given.

A call is made again where its answer was lost, or was "not now" (408, 429, 5xx but 501), after
a pause that grows and is never shorter than `Retry-After`, until `retry_for` seconds are over.
That is safe, since each call does once what it does, however often it comes: submits, redrives and
discards bring their ids.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from unlost.client.core import calls
from unlost.client.core.answers import asked_wait, problem_of, read, refusal, stays
from unlost.client.core.calls import Call
from unlost.client.core.wire import Answer, Pause, Reply, Steps
from unlost.client.errors import Conflict, Unavailable
from unlost.client.values import TaskInfo
from unlost.policy import Backoff

T = TypeVar("T")

BACKOFF: Final = Backoff(base=0.2, cap=5.0)
LONGEST_WAIT: Final = 30.0
"""Seconds that the service lets a call wait for a task's end."""

SHORTEST_WAIT: Final = 1.0


@dataclass(frozen=True)
class Retries:
    """How long calls are made again, in seconds from the first try; `draw` is uniform in [0, 1)."""

    retry_for: float
    now: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random

    def pause(self, tries: int, since: float, reply: Reply, task_id: str | None = None) -> Pause:
        """The pause before the next try.  Raises Unavailable where that would be too late."""
        wait = max(BACKOFF.wait(tries, self.draw()), asked_wait(reply))
        if self.now() + wait > since + self.retry_for:
            problem = problem_of(reply) if isinstance(reply, Answer) else None
            why = str(problem) if isinstance(reply, Answer) else reply.why
            times = "once" if tries == 1 else f"{tries} times in {self.now() - since:.0f} s"
            raise Unavailable(f"{why}; tried {times}", problem, task_id)
        return Pause(wait)

    def answered(self, call: Call[T], first: Reply | None = None) -> Steps[tuple[Answer, int]]:
        """The answer that stays, and at which try; `first` is the reply of one that was made.

        Raises Unavailable.
        """
        since, tries = self.now(), 1
        reply = first or (yield call.request)
        while not stays(reply):
            yield self.pause(tries, since, reply, call.task_id)
            reply, tries = (yield call.request), tries + 1
        return reply, tries

    def perform(self, call: Call[T], first: Reply | None = None) -> Steps[T]:
        """Make a call, and read its answer.

        Raises Unavailable, Conflict, NotFound, Refused, UnlostError.
        """
        answer, tries = yield from self.answered(call, first)
        if answer.status in call.expected:
            return call.reads(answer)
        error = refusal(answer, call.task_id)
        if tries > 1 and isinstance(error, Conflict) and call.task_id and call.done:
            # An earlier try may have done it, and its answer was lost.
            look, _ = yield from self.answered(calls.get(call.task_id))
            if look.status == 200 and call.done(read(look, TaskInfo)):
                return call.reads(look)
        raise error

    def wait(self, task_id: str, seconds: float) -> Steps[TaskInfo]:
        """Look at a task until it has ended, or for so many seconds: the task as it is then.

        An answer that comes early, or is cut off by what lies between, is asked for again; of one
        that was cut off, sooner.
        """
        ends, longest, early = self.now() + seconds, LONGEST_WAIT, 0
        while True:
            began = self.now()
            asked = max(0.0, min(longest, ends - began))
            call = calls.get(task_id, asked)
            reply = yield call.request
            cut_off = asked > 0 and not stays(reply)
            if cut_off:
                longest = max(SHORTEST_WAIT, (self.now() - began) / 2)
                call = calls.get(task_id)
            task = yield from self.perform(call, reply)
            left = ends - self.now()
            if task.ended or left <= 0:
                return task
            early = early + 1 if not cut_off and self.now() - began < asked / 2 else 0
            if early:
                yield Pause(min(BACKOFF.wait(early, self.draw()), left))
