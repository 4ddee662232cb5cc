"""Handlers that do what the script says, and leave a record of it outside the ledger."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence

from tests.simulation.history import History
from tests.simulation.process import Process
from tests.simulation.scenario import HANDLER_LIMITS, Script
from unlost.handlers import AttemptOver, Handlers, Reject, Retry, Task

SWALLOWED = 6
"""Cancellations that a stubborn handler swallows."""


class Failure(Exception):
    """The failure that the script wanted."""


class Killed(Exception):
    """A program ended, of a signal."""

    returncode = -15


class Handling:
    """What one process does with the tasks it is given.

    It records `effect`, `declares` and `got` for each step, `started`, `told` at each cancellation,
    and `ended` with how: "returned", "cancelled" or the exception's name, the wait that was asked
    for, and whether to be excused.  Not `effects`: nothing records what handlers declare.
    """

    def __init__(
        self, process: Process, script: Script, history: History, *, effects: bool = True
    ) -> None:
        self._process = process
        self._script = script
        self._history = history
        self._signal = asyncio.Event()  # to all programs
        self._effects = effects
        self._turns: Counter[tuple[str, int]] = Counter()

    def signal(self) -> None:
        """Have the programs that handlers started end, since all processes are told to."""
        if self._process.alive:
            self._process.call_soon(self._signal.set)

    def handlers(self, types: tuple[str, ...]) -> Handlers:
        """Handlers of these types."""
        served = Handlers()
        for name in types:
            limits = HANDLER_LIMITS[name]
            register = served.task(name, max_retries=limits.max_retries, timeout=limits.timeout)
            register(self.handle)
        return served

    def _record(self, task: Task, what: str, *more: object) -> None:
        if self._process.alive:
            self._history.add(self._process.name, what, task.id, task.number, *more)

    async def handle(self, task: Task) -> dict[str, int]:
        outcome, seconds = self._script.act(task.id, task.number)
        names = self._script.steps(task.id)
        self._record(task, "started")
        try:
            await self._make(task, names[:1])
            await self._behave(outcome, seconds, lambda: self._record(task, "told"))
            await self._make(task, names[1:])
        except asyncio.CancelledError:
            self._record(task, "told")
            self._record(task, "ended", "cancelled", 0.0, False)
            raise
        except AttemptOver:
            self._record(task, "ended", "AttemptOver", 0.0, False)
            raise
        except Exception as error:
            asked = error.after if isinstance(error, Retry) else 0.0
            excuse = isinstance(error, Retry) and error.excused
            self._record(task, "ended", type(error).__name__, asked, excuse)
            raise
        follows = self._script.follows(task.id)
        for task_id, payload in follows:
            task.submit(payload, task_id, type="mail" if task_id.endswith(".2") else None)
        if follows:
            self._record(task, "follows", tuple(task_id for task_id, _ in follows))
        self._record(task, "ended", "returned", 0.0, False)
        return {"attempt": task.attempt}

    async def _make(self, task: Task, names: Sequence[str]) -> None:
        """Make steps, each of which returns what no other attempt does."""
        for name in names:
            key = task.idempotency_key(name)
            value = await task.once(name, self._effect, task, name, key)
            self._record(task, "got", name, value)

    async def _effect(self, task: Task, name: str, key: str) -> int:
        self._record(task, "effect", name, key)
        await asyncio.sleep(self._script.length(task.id, task.number, name))
        if self._effects:
            self._turns[task.id, task.number] += 1
            self._record(task, "declares", self._turns[task.id, task.number], name)
        task.effect(name)
        return task.number

    async def _behave(self, outcome: str, seconds: float, told: Callable[[], None]) -> None:
        if outcome == "block":
            self._history.add(self._process.name, "paused", "for ever")
            self._process.block()
        elif outcome == "abort":
            self._process.crash()
        if outcome == "stubborn":
            await _ignore(told)
        elif outcome in ("hang", "block", "abort"):
            await asyncio.Event().wait()
        if outcome == "program":
            await self._run_program(seconds)
        else:
            await asyncio.sleep(seconds)
        if outcome == "fail":
            raise Failure("as the script says")
        if outcome == "retry":
            raise Retry(after=2 * seconds)
        if outcome == "excuse":
            raise Retry(after=seconds, excused=True)
        if outcome == "reject":
            raise Reject("as the script says")

    async def _run_program(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._signal.wait()
            raise Killed("a program ended")


async def _ignore(told: Callable[[], None]) -> None:
    for _ in range(SWALLOWED):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told()
