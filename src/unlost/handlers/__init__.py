"""Handlers: what users write, and what they import for it.

`task` has what a handler is given, `exceptions` what it may raise, `registry` who serves which
type, `loading` the way from `MODULE:NAME` to a registry.
"""

from unlost.handlers.exceptions import AttemptOver, NotHere, Reject, Retry, StepNotKept
from unlost.handlers.loading import HandlerNotLoaded, load
from unlost.handlers.registry import Function, Handler, Handlers
from unlost.handlers.task import Task

__all__ = [
    "AttemptOver",
    "Function",
    "Handler",
    "HandlerNotLoaded",
    "Handlers",
    "NotHere",
    "Reject",
    "Retry",
    "StepNotKept",
    "Task",
    "load",
]
