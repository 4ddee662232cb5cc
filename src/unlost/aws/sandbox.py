"""What a function's sandbox keeps from one invocation to the next.

Lambda freezes a sandbox between invocations, for a second or for hours, and may never thaw it.
So nothing here runs between them, and nothing is waited for that is not waited for within one:
a lease that is needed is made to last the invocation, and times are the ledger's or the day's.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from unlost.aws import environment, tracing
from unlost.aws.environment import Environment
from unlost.aws.logs import Logs
from unlost.aws.tracing import Function
from unlost.handlers import HandlerNotLoaded
from unlost.settings import WrongSetting
from unlost.telemetry.logs import Log

T = TypeVar("T")

TO_END: Final = 0.5
"""Seconds of an invocation that are kept for what has to be said in the end."""

log = Log("unlost.aws")


class Sandbox:
    """The one event loop, the log, and what the environment says.

    `traced` is what to make of the function in the end.
    """

    def __init__(self, environment: Environment, logs: Logs) -> None:
        self.environment = environment
        self.logs = logs
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.traced = tracing.start(logs.service) if environment.tracing else _as_it_is
        self._left: Callable[[], float] = lambda: math.inf

    def invoked(self, context: Any) -> None:
        """Have the log and `left` belong to this invocation."""
        self.logs.invoked(context)
        self._left = left(context)

    def left(self) -> float:
        """Seconds for which something may be waited for in this invocation."""
        return self._left() - TO_END

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Do this, and return when it is done."""
        return self.loop.run_until_complete(step)


def _as_it_is(function: Function) -> Function:
    return function


def opened(needed: tuple[str, ...] = ()) -> Sandbox:
    """A sandbox with the environment's settings; the variables `needed` must be set.

    Raises WrongSetting.
    """
    logs = Logs(sys.stdout)
    return Sandbox(environment.read(os.environ, *needed), logs)


def left(context: Any) -> Callable[[], float]:
    """Seconds that are left of an invocation, as of each call."""
    return lambda: context.get_remaining_time_in_millis() / 1000


def entry(make: Callable[[], Function]) -> Function:
    """The entry point over what `make` makes: when the sandbox starts, and elsewhere than in
    Lambda when it is first called."""
    made: list[Function] = []

    def handler(event: Any, context: Any) -> Any:
        if not made:
            made.append(_explained(make))
        return made[0](event, context)

    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        made.append(_explained(make))
    return handler


def _explained(make: Callable[[], Function]) -> Function:
    try:
        return make()
    except (WrongSetting, HandlerNotLoaded) as wrong:
        log.error("setting.wrong", extra={"why": str(wrong)})  # noqa: TRY400  one clear line
        raise
