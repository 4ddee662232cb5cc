"""What a handler is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, ClassVar, Final, Protocol

from unlost import jsontext
from unlost.asked.submission import OWN, Rules
from unlost.handlers.exceptions import NotHere
from unlost.handlers.follow_ups import FollowUps, secret_of
from unlost.task import Micros, Submission

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNREAD: Any = object()
_making: Final = Lock()  # one for all: what is done under it takes no time


class MakesSteps(Protocol):
    """Makes the steps of an attempt: who runs it."""

    def once(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Make a step: its value, or in an async handler what is to be awaited for it."""
        ...

    def idempotency_key(self, name: str) -> str:
        """By which others know this step."""
        ...

    def effect(self, name: object) -> None:
        """Record that this has happened."""
        ...

    def close(self) -> None:
        """Make no further step: the attempt is over, or is to end."""
        ...


class Task:
    """What a handler is given: one attempt of a task.

    `attempt` counts from 1 within this submit or redrive, as `max_retries` does: without those that
    were excused or released.  `number` counts every attempt of the task, as its history lists them.
    """

    __slots__ = (
        "_begin", "_begin_steps", "_cancelled", "_deadline", "_follow_ups", "_over", "_payload",
        "_rules", "_scheduled_for", "_steps", "_submitted_at", "_text", "_token", "attempt", "id",
        "max_retries", "number", "redrive_count", "type",
    )  # fmt: skip

    _witness: ClassVar[Callable[[Task, str], None] | None] = None
    """Who is told of effects: `unlost prove`, else nobody."""

    def __init__(  # noqa: PLR0913, PLR0917  a value with these members
        self,
        id: str,
        type: str,
        payload: str,
        attempt: int,
        max_retries: int,
        redrive_count: int,
        submitted_at: Micros,
        deadline: Micros,
        number: int,
        scheduled_for: Micros | None = None,
        begin_steps: Callable[[], MakesSteps] | None = None,
        token: str = "",
        rules: Rules = OWN,
    ) -> None:
        """`payload` is JSON text, `begin_steps` gives what makes its steps, once it makes any,
        `token` is known to nobody else, and `rules` hold for what it submits."""
        self.id = id
        self.type = type
        self.attempt = attempt
        self.number = number
        self.max_retries = max_retries
        self.redrive_count = redrive_count
        self._text = payload
        self._payload: Any = _UNREAD
        self._submitted_at = submitted_at
        self._scheduled_for = scheduled_for
        self._deadline = deadline
        self._begin_steps = begin_steps
        self._steps: MakesSteps | None = None  # most attempts make none
        self._token = token
        self._rules = rules
        self._follow_ups: FollowUps | None = None
        self._over = False
        self._cancelled = False
        self._begin: Callable[[], Any] | None = None  # what `transaction` asks, where it can

    def once(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Have `function(*args, **kwargs)` done once for this task, and return what it returned.

        In an async handler await it, in a sync one do not.  The ledger is asked whether this
        attempt still runs and whether the step of this name is recorded.  If it is, that value
        comes back, and the function does not run.  Else it runs, and what it returned is recorded
        before it comes back, as read from JSON.  Where the attempt ends in between, the function
        runs again, in another attempt, with the same `idempotency_key`.

        Raises AttemptOver where the attempt runs no more, StepNotKept where what the function
        returned is no JSON or too large (64 KiB a step, 1 MiB and 1,000 steps a task), ValueError
        for a name that is none (1 to 100 of `A–Z a–z 0–9 . _ - :`) or that this attempt makes or
        has made, TypeError for an async function in a sync handler, and whatever the function
        raises, of which nothing is recorded.
        """
        return self._who_runs_it().once(name, function, args, kwargs)

    def idempotency_key(self, name: str) -> str:
        """A key under which others can know this step: 40 hex digits.

        The same in every attempt, and of no other task, step or ledger.  After a redrive that
        forgets the step, another.  Raises ValueError for a name that is none.
        """
        return self._who_runs_it().idempotency_key(name)

    def _who_runs_it(self) -> MakesSteps:
        steps = self._steps or self._first_step()
        if steps is None:
            raise RuntimeError("nobody runs this task: a worker makes the steps of what it runs")
        return steps

    def _first_step(self) -> MakesSteps | None:
        with _making:
            if self._steps is None and self._begin_steps is not None:
                self._steps = self._begin_steps()
                if self._over or self._cancelled:  # from now on who runs it tells them itself
                    self._steps.close()
            return self._steps

    def effect(self, name: str) -> None:
        """Say that an effect has just happened that must happen once per task, such as "charged".

        It is recorded at once, whatever becomes of this attempt: `unlost effects --repeated` lists
        what happened more than once, and after what.  In a sync handler it is recorded when this
        returns, in an async one it is on its way.  Never raises; at most 1,000 an attempt.
        """
        steps = self._steps or self._first_step()
        if steps is not None:
            steps.effect(name)
        if Task._witness is not None:
            Task._witness(self, name)

    def transaction(self) -> Any:
        """A connection to the ledger's PostgreSQL database, in a transaction that is committed
        with this attempt's success, or not at all.

        To be awaited in an async handler, where it is a `psycopg.AsyncConnection`; in a sync one
        it comes at once, a `psycopg.Connection`.  Asked again, it is the same.  While all that a
        worker may have are in use it is waited for.  `commit`, `rollback` and autocommit raise on
        it; 10 s without a statement, or the attempt's end, roll it back.

        Raises NotHere in other homes than `postgres`, psycopg.Error where none can be had.
        """
        if self._begin is None:
            raise NotHere(
                "task.transaction() is for a worker on a PostgreSQL ledger (not by --url)"
            )
        return self._begin()

    def submit(
        self, payload: Mapping[str, object], task_id: str | None = None, **options: object
    ) -> str:
        """Submit a task with this attempt's success: in the very transaction that makes it
        `succeeded`, or not at all.  Returns the task's id, one of the service's own where none is
        given.

        `options` are the members of `POST /tasks` in snake_case: `type`, `priority`,
        `delay_seconds`, `run_at` (text, or a datetime that knows its zone), `max_retries`,
        `timeout_seconds`, `key`, `callback_url`; None leaves one out.  An id that is there already
        is compared as any submit's: with another payload or other options this task is dead at
        once, with `FollowUpConflict`, and nothing follows from it.

        Raises ValueError for what no submit may ask for, and for more than 40 tasks or 1 MiB of
        payloads in one attempt, and RuntimeError once the attempt is over.
        """
        with _making:
            if self._over:
                raise RuntimeError("this attempt is over: nothing follows from it any more")
            if self._follow_ups is None:
                self._follow_ups = FollowUps(secret_of(self.id, self._token), self._rules)
            return self._follow_ups.add(payload, task_id, options)

    def _submitted(self) -> tuple[Submission, ...]:
        """What is to follow, now that the attempt is over."""
        with _making:
            self._over = True
        return () if self._follow_ups is None else tuple(self._follow_ups.tasks)

    @property
    def payload(self) -> Any:
        """The payload, read when first asked for; it is this attempt's own to change."""
        if self._payload is _UNREAD:
            self._payload = jsontext.decode(self._text)
        return self._payload

    @property
    def submitted_at(self) -> datetime:
        """When the task was accepted, in UTC."""
        return _EPOCH + timedelta(microseconds=self._submitted_at)

    @property
    def scheduled_for(self) -> datetime | None:
        """The time of its schedule for which the task was submitted, in UTC, however late that
        was; None where no schedule did."""
        if self._scheduled_for is None:
            return None
        return _EPOCH + timedelta(microseconds=self._scheduled_for)

    @property
    def deadline(self) -> datetime:
        """When this attempt times out, in UTC."""
        return _EPOCH + timedelta(microseconds=self._deadline)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt should end: it was cancelled or timed out, or the service stops.

        An async handler gets `asyncio.CancelledError` as well; a sync one has to look.
        """
        return self._cancelled

    def __repr__(self) -> str:
        return f"<Task {self.id!r} of type {self.type!r}, attempt {self.attempt}>"
