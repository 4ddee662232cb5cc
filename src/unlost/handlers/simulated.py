"""The simulated handler: fails a share of attempts, or does what a payload asks for.

    {"simulate": {"outcome": "fail" | "succeed" | "reject" | "hang" | "crash",
                  "failTimes": n, "seconds": s}}

It runs for `seconds`, then comes its outcome; without one, chance decides.  With `failTimes` n the
first n attempts (of each redrive) have the outcome, `fail` if none or `succeed` is named, and
later ones succeed.

It stands in for handlers that are not there: types that workers name which claim by the API are
left to those.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import Awaitable, Callable
from random import Random

import msgspec

from unlost.chance import fraction
from unlost.handlers import Handlers, Reject, Task

OUTCOMES = ("fail", "succeed", "reject", "hang", "crash")
LONGEST = 1_000_000.0
"""Seconds; beyond every timeout, and within what timers can take."""


class SimulatedFailure(Exception):
    """The failure that was asked for."""


class BadSimulation(ValueError):
    """A payload's `simulate` makes no sense.  The message says why."""


class Plan(msgspec.Struct, frozen=True):
    """What a payload asks for."""

    outcome: str | None = None
    fail_times: int | None = None
    seconds: float = 0.0

    def outcome_of(self, attempt: int) -> str | None:
        """The outcome of this attempt of the redrive; None leaves it to chance."""
        if self.fail_times is None:
            return self.outcome
        if attempt > self.fail_times:
            return "succeed"
        return "fail" if self.outcome in (None, "succeed") else self.outcome


def simulated(failure_rate: float, seed: int | None, random: Random) -> Handlers:
    """Handlers of every type that fail `failure_rate` of their attempts.

    With a `seed`, whether one fails depends on the seed, the task's id and the attempt's number
    alone; else on `random`.
    """

    async def simulate(task: Task) -> None:
        plan = read(task.payload)
        if plan.seconds:
            await asyncio.sleep(plan.seconds)
        outcome = plan.outcome_of(task.attempt)
        if outcome is None:
            outcome = "fail" if draw(task) < failure_rate else "succeed"
        await _ACTS[outcome](task)

    def draw(task: Task) -> float:
        return random.random() if seed is None else fraction(seed, task.id, task.number)

    handlers = Handlers.for_every_type(simulate)
    handlers.stand_in = True
    return handlers


def read(payload: object) -> Plan:
    """What a payload asks for.  Raises BadSimulation."""
    if not isinstance(payload, dict) or "simulate" not in payload:
        return Plan()
    wish = payload["simulate"]
    if not isinstance(wish, dict):
        raise BadSimulation(f"simulate must be an object, not {_shown(wish)}")
    for name in wish.keys() - {"outcome", "failTimes", "seconds"}:
        raise BadSimulation(f"simulate has no member {_shown(name)}")
    outcome = wish.get("outcome")
    if "outcome" in wish and outcome not in OUTCOMES:
        raise BadSimulation(f"outcome must be one of {', '.join(OUTCOMES)}, not {_shown(outcome)}")
    times = _number(wish, "failTimes")
    if times is not None and times != int(times):
        raise BadSimulation(f"failTimes must be a whole number, not {_shown(times)}")
    seconds = _number(wish, "seconds") or 0.0
    return Plan(outcome, None if times is None else int(times), float(min(seconds, LONGEST)))


def _number(wish: dict[str, object], name: str) -> int | float | None:
    if name not in wish:
        return None
    value = wish[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadSimulation(f"{name} must be a number, not {_shown(value)}")
    if value < 0 or not math.isfinite(value if isinstance(value, float) else 0):
        raise BadSimulation(f"{name} must be 0 or more, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer too long to print
        text = "a huge number"
    return text if len(text) <= 100 else text[:100] + "…"


async def _fail(task: Task) -> None:
    raise SimulatedFailure(f"attempt {task.attempt} was to fail")


async def _succeed(task: Task) -> None:
    pass


async def _reject(task: Task) -> None:
    raise Reject("the payload asked to be rejected")


async def _hang(task: Task) -> None:
    await asyncio.Event().wait()


async def _crash(task: Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_ACTS: dict[str, Callable[[Task], Awaitable[None]]] = {
    "fail": _fail,
    "succeed": _succeed,
    "reject": _reject,
    "hang": _hang,
    "crash": _crash,
}
