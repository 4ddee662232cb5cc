"""One attempt, from its start to its settlement.

It is a value that flows through steps: `started` makes the handler's task of what was claimed,
`run` or `call` runs the handler, `returned` or `raised` says how it ended, and `settlement` what
follows.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from random import Random
from types import TracebackType

import msgspec
from msgspec.structs import replace

from unlost import carried, jsontext, policy
from unlost.asked.submission import OWN, Rules
from unlost.chance import fraction
from unlost.handlers import Function, Reject, Retry, Task
from unlost.handlers.task import MakesSteps
from unlost.ledger.values import Claimed, Held, Settlement
from unlost.policy import WORKER_LOST, Backoff, Excuses
from unlost.task import Event, Micros, Outcome, Submission, TaskError
from unlost.worker.signalled import signalled

RESULT_LIMIT = 64 * 1024
"""Bytes of JSON that a result may have."""

TOO_LARGE = "ResultTooLarge"
NOT_JSON = "ResultNotJson"
"""Types of the errors of attempts whose result cannot be kept."""


class Ended(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended.  `at_least` (seconds) is the wait that the handler asked for;
    `final` refuses further attempts; `excused` says that the handler asks that it spend no retry,
    `signalled` that a signal to stop ended a program of the handler's, as far as its failure tells;
    `submit` are the tasks that follow from a success."""

    outcome: Outcome
    error: TaskError | None = None
    result: str | None = None
    at_least: float = 0.0
    final: bool = False
    excused: bool = False
    signalled: bool = False
    submit: tuple[Submission, ...] = ()


NOTHING = Ended(Outcome.SUCCEEDED)
RELEASED = Ended(Outcome.RELEASED)
LOST = Ended(Outcome.LOST, WORKER_LOST)


def started(
    claimed: Claimed,
    begin_steps: Callable[[], MakesSteps] | None = None,
    rules: Rules = OWN,
) -> Task:
    """What the handler is given; `begin_steps` gives what makes its steps, `rules` hold for what
    it submits."""
    return Task(  # not by name: of so many, the names would cost more than all the rest
        claimed.task_id, claimed.type, claimed.payload, claimed.spent, claimed.max_retries,
        claimed.redrive_count, claimed.submitted_at, claimed.deadline, claimed.number,
        _scheduled_for(claimed), begin_steps, claimed.token, rules,
    )  # fmt: skip


def _scheduled_for(claimed: Claimed) -> Micros | None:
    by = None if claimed.carried is None else carried.read(claimed.carried).schedule
    return None if by is None else by.time


async def run(function: Function, task: Task) -> Ended:
    """Run an async handler to its end; whatever it raises is an ending."""
    process = os.getpid()
    try:
        return _over(task, returned(await function(task)))
    except BaseException as error:  # noqa: BLE001  user code's edge: SystemExit and all
        return _over(task, raised(error))
    finally:
        _end_forked_child(process)


def call(function: Function, task: Task) -> Ended:
    """Run a sync handler to its end; whatever it raises is an ending."""
    process = os.getpid()
    try:
        return _over(task, returned(function(task)))
    except BaseException as error:  # noqa: BLE001  user code's edge: SystemExit and all
        return _over(task, raised(error))
    finally:
        _end_forked_child(process)


def _over(task: Task, ended: Ended) -> Ended:
    """The ending, with what follows from it; nothing can be submitted from now on."""
    submit = task._submitted()
    if not submit or ended.outcome is not Outcome.SUCCEEDED:
        return ended
    return replace(ended, submit=submit)


def _end_forked_child(process: int) -> None:
    # A handler that forked: what comes back here in the child is not a worker.
    if os.getpid() != process:
        os._exit(0)


def returned(value: object) -> Ended:
    """The ending of a handler that returned.

    A result that cannot be kept ends the task: the work is done, and another attempt would only
    repeat it.
    """
    if value is None:
        return NOTHING
    try:
        result = jsontext.encode(value)
    except (jsontext.NotEncodable, RecursionError) as error:
        return _refused(NOT_JSON, str(error))
    except BaseException as error:  # noqa: BLE001  user code's edge: a class of the user's own
        why = f"reading it raised {type_name(type(error))}: {_message(error)}"
        return _refused(NOT_JSON, why)
    return kept(result)


def kept(result: str | None, submit: tuple[Submission, ...] = ()) -> Ended:
    """The ending of an attempt that succeeded with this result, in JSON, if it has one that can be
    kept."""
    size = 0 if result is None else len(result.encode())
    if size > RESULT_LIMIT:
        why = f"the result has {size} bytes of JSON, above {RESULT_LIMIT}"
        return _refused(TOO_LARGE, why)
    return Ended(Outcome.SUCCEEDED, None, result, submit=submit)


def raised(error: BaseException) -> Ended:
    """The ending of a handler that raised."""
    why = policy.error(type_name(type(error)), _message(error), _traceback(error))
    if isinstance(error, Reject):
        return Ended(Outcome.FAILED, why, final=True)
    if isinstance(error, Retry):
        return Ended(
            Outcome.FAILED,
            why,
            at_least=_seconds(error.after),
            excused=error.excused is True,
            signalled=signalled(error),
        )
    return Ended(Outcome.FAILED, why, signalled=signalled(error))


def not_committed(cause: Exception, *, final: bool) -> Ended:
    """The ending of an attempt whose handler returned, but whose transaction was rolled back."""
    why = policy.error(type_name(type(cause)), _message(cause))
    return Ended(Outcome.FAILED, why, final=final)


def timed_out(seconds: float) -> Ended:
    """The ending of an attempt that ran longer than its timeout."""
    return Ended(Outcome.TIMED_OUT, policy.timed_out(seconds))


def released(failed: Ended) -> Ended:
    """The ending of an attempt that failed and is to cost nothing; the wait that its handler asked
    for holds."""
    return Ended(Outcome.RELEASED, at_least=failed.at_least)


def _refused(kind: str, why: str) -> Ended:
    return Ended(Outcome.FAILED, policy.error(kind, why), final=True)


def type_name(kind: type[BaseException]) -> str:
    """An error's type as people know it: its module and name; built-in and our own without."""
    for known in (Reject, Retry):
        if issubclass(kind, known):
            return known.__name__
    module = str(kind.__module__)
    if module == "builtins" or module.startswith("unlost."):
        return kind.__qualname__
    return f"{module}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as fault:  # noqa: BLE001  the user's own __str__
        return f"(its message cannot be read: {type(fault).__name__})"


def _traceback(error: BaseException) -> str:
    try:
        frames = _of_handler(error.__traceback__)
        told = traceback.TracebackException(type(error), error, frames, compact=True)
        return "".join(told.format())
    except Exception as fault:  # noqa: BLE001  the user's own exception classes take part
        return f"(its traceback cannot be formatted: {type(fault).__name__})"


def _of_handler(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from the handler's own frame on."""
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames


def _seconds(after: object) -> float:
    """A wait that makes no sense is none."""
    if isinstance(after, int | float) and after > 0:
        return float(min(after, policy.MAX_WAIT))
    return 0.0


Draw = Callable[[Claimed | Held], float]
"""A number in [0, 1) for the wait after an attempt."""


def draws(seed: int | None, random: Random) -> Draw:
    """Waits by chance; with a seed they depend on the seed, the task's id and the attempt alone."""
    if seed is None:
        return lambda _: random.random()
    known = seed
    return lambda attempt: fraction(known, "wait", attempt.task_id, attempt.spent)


def settlement(
    attempt: Claimed | Held, ended: Ended, backoff: Backoff, draw: Draw, max_excused: int = 0
) -> Settlement:
    """What the ledger is told of an attempt that ended; at most `max_excused` a redrive are
    excused."""
    if ended.outcome is Outcome.SUCCEEDED:
        return Settlement(
            attempt.task_id, attempt.token, Outcome.SUCCEEDED, Event.SUCCEED, 0, None, ended.result
        )
    follows = policy.after_attempt(
        ended.outcome,
        attempt.spent,
        attempt.max_retries,
        backoff,
        draw(attempt),
        at_least=ended.at_least,
        final=ended.final,
        excuses=Excuses(ended.excused, attempt.excused, max_excused),
    )
    return Settlement(
        attempt.task_id,
        attempt.token,
        ended.outcome,
        follows.event,
        follows.wait,
        ended.error,
        excused=follows.excused,
        excusable=follows.excusable,
    )
