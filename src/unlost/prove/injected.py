"""What a worker process loads in place of the user's handlers: the same ones, wrapped.

Loaded as `unlost.prove.injected:handlers`, with a `Spec` in the environment.  A wrapped handler
runs as it is: sync in a thread, async in the event loop, with its own limits.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unlost.chance import fraction
from unlost.effects import Recorded
from unlost.handlers import Function, Handler, Handlers, Retry, Task, load
from unlost.ledger.values import NewStep
from unlost.prove import spec as specs
from unlost.prove.cut_off import CutOff
from unlost.prove.fates import FAILURES, KILLS, Fate
from unlost.prove.journal import Journal, Kind, read
from unlost.prove.spec import Spec
from unlost.worker.effects.steps import Steps

LONGEST_DELAY = 0.05
"""Seconds, at most, from a handler's start to a kill while it runs."""

LONGEST_WISH = 0.2
"""Seconds that a handler can ask to wait for, so that nobody waits long for a proof."""

SUPERVISOR = os.getppid()


class InjectedFailure(Exception):
    """Raised in the handler's place.  It is no failure of the handler."""


class Injector:
    """Carries out what is to befall the attempts of this process, and notes it down."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._journal = Journal(spec.journal, spec.generation)
        self._fates: dict[Task, Fate] = {}
        self._cut_off = CutOff(self._journal, spec)
        self._cut_off.stand_between()

    def stand_in(self) -> Handlers:
        """The user's handlers, wrapped.  Raises HandlerNotLoaded."""
        users = load(self._spec.handler)
        Task._witness = self._witness
        self._witness_steps()
        if users.types is None:
            return Handlers.for_every_type(self._wrapped(users.find("")))
        wrapped = Handlers()
        for name, limits in users.types.items():
            register = wrapped.task(name, max_retries=limits.max_retries, timeout=limits.timeout)
            register(self._wrapped(users.find(name)))
        return wrapped

    def _wrapped(self, handler: Handler) -> Function:
        return self._async(handler.function) if handler.is_async else self._sync(handler.function)

    def _async(self, function: Function) -> Function:
        async def attempt(task: Task) -> Any:
            fate = self._begin(task)
            with self._cut_off.told_of_end(task):
                await self._cut_off.before(task, fate)
                self._strike_before(task, fate)
                with self._run(task, fate):
                    value = await function(task)
                await self._cut_off.after(task, fate)
                return value

        return attempt

    def _sync(self, function: Function) -> Function:
        def attempt(task: Task) -> Any:
            fate = self._begin(task)
            with self._cut_off.told_of_end(task):
                self._cut_off.from_thread(self._cut_off.before(task, fate))
                self._strike_before(task, fate)
                with self._run(task, fate):
                    value = function(task)
                self._cut_off.from_thread(self._cut_off.after(task, fate))
                return value

        return attempt

    def _begin(self, task: Task) -> Fate:
        """The attempt's fate."""
        last = task.attempt > task.max_retries
        fate = self._spec.fate(task.id, task.number, last=last)
        if not last and self._is_to_kill_tree(task):
            fate = Fate.TREE_KILLED
        self._journal.note(Kind.BEGAN, task.id, task.number, fate)
        return fate

    def _is_to_kill_tree(self, task: Task) -> bool:
        """Whether this task was chosen for that and has not done it yet.

        Its first attempt may itself have been lost to another one that killed everything.
        """
        if self._spec.calm or task.id not in self._spec.tree_killers:
            return False
        return not any(
            note.task_id == task.id and note.what == Fate.TREE_KILLED and note.kind is Kind.STRUCK
            for note in read(self._spec.journal)
        )

    def _strike_before(self, task: Task, fate: Fate) -> None:
        if fate is Fate.FAILED_BEFORE:
            self._fail(task, fate)
        if fate is Fate.KILLED_BEFORE:
            self._kill(task, fate)

    @contextmanager
    def _run(self, task: Task, fate: Fate) -> Iterator[None]:
        """What comes while the handler runs, and at its end."""
        self._fates[task] = fate
        if fate is Fate.KILLED_DURING:
            share = fraction(self._spec.seed, "delay", task.id, task.number)
            killer = threading.Timer(share * LONGEST_DELAY, self._kill, (task, fate))
            killer.daemon = True
            killer.start()
        try:
            yield
        except BaseException as error:
            if isinstance(error, Retry) and isinstance(error.after, int | float):
                error.after = min(error.after, LONGEST_WISH)
            self._end(task, fate, "raised")
            raise
        self._end(task, fate, "returned")
        if fate in FAILURES:
            self._fail(task, fate)

    def _end(self, task: Task, fate: Fate, how: str) -> None:
        del self._fates[task]
        self._journal.note(Kind.ENDED, task.id, task.number, how)
        if fate in KILLS:
            self._kill(task, fate)
        if fate is Fate.TREE_KILLED:
            self._journal.note(Kind.STRUCK, task.id, task.number, fate)
            if os.getppid() == SUPERVISOR:  # else it is gone already, and this process soon
                _kill(SUPERVISOR)
        if fate is Fate.ANSWER_LOST:
            self._cut_off.lose_answer(task)

    def _witness(self, task: Task, name: str) -> None:
        self._journal.note(Kind.EFFECT, task.id, task.number, str(name))
        if self._fates.get(task) is Fate.KILLED_AT_EFFECT:
            self._kill(task, Fate.KILLED_AT_EFFECT)

    def _witness_steps(self) -> None:
        """Be there between a step's function and its record."""
        record = Steps.record

        async def witnessed(steps: Steps, new: NewStep) -> Recorded:
            self._made(new)
            return await record(steps, new)

        setattr(Steps, "record", witnessed)  # noqa: B010  a method in a method's place

    def _made(self, new: NewStep) -> None:
        for task, fate in self._fates.items():
            if task._token == new.token:
                self._journal.note(Kind.MADE, task.id, task.number, new.name)
                if fate is Fate.KILLED_AT_EFFECT:
                    self._kill(task, fate)

    def _fail(self, task: Task, fate: Fate) -> None:
        self._journal.note(Kind.STRUCK, task.id, task.number, fate)
        raise InjectedFailure(f"attempt {task.number} was to fail")

    def _kill(self, task: Task, fate: Fate) -> None:
        self._journal.note(Kind.STRUCK, task.id, task.number, fate)
        _kill(os.getpid())


def _kill(pid: int) -> None:
    """Kill a process without which this one does not go on either."""
    os.kill(pid, signal.SIGKILL)
    time.sleep(60)  # not to be outlived


_injector = Injector(specs.decode(os.environ[specs.VARIABLE]))


def __getattr__(name: str) -> Any:
    """`handlers`, once somebody asks: the ledger is opened before the user's module is imported."""
    if name != "handlers":
        raise AttributeError(name)
    return _injector.stand_in()
