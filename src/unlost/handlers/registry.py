"""The registry: who serves which type, and with what limits."""

from __future__ import annotations

import inspect
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from unlost.handlers.task import Task
from unlost.policy import Limits
from unlost.task import MAX_RETRIES, MAX_TIMEOUT, MAX_TYPE, RESERVED

Function = Callable[[Task], Any]
F = TypeVar("F", bound=Callable[..., Any])


class Handler(msgspec.Struct, frozen=True):
    """A handler and the limits it was registered with."""

    function: Function
    limits: Limits
    is_async: bool


class Handlers:
    """A registry of handlers by task type.

    >>> handlers = Handlers()
    >>> @handlers.task("invoice.send", max_retries=5, timeout=20)
    ... async def send_invoice(task): ...
    """

    def __init__(self) -> None:
        self._by_type: dict[str, Handler] = {}
        self._for_rest: Handler | None = None
        self.stand_in = False
        """Whether they leave tasks to whoever else names their types."""

    @classmethod
    def for_every_type(cls, function: object) -> Handlers:
        """One function, sync or async, that serves every type.

        Raises TypeError if it is no function of one task.
        """
        handlers = cls()
        handlers._for_rest = _handler(function, Limits())
        return handlers

    def task(
        self, type: str, *, max_retries: int | None = None, timeout: float | None = None
    ) -> Callable[[F], F]:
        """Register the decorated function, sync or async, for tasks of `type`.

        `max_retries` (attempts after the first) and `timeout` (seconds an attempt) hold where the
        submit gives none.  Raises ValueError or TypeError for what cannot be meant.
        """
        _check_type(type)
        limits = _limits(max_retries, timeout)

        def register(function: F) -> F:
            if type in self._by_type:
                raise ValueError(f"there is already a handler for tasks of type {type!r}")
            self._by_type[type] = _handler(function, limits)
            return function

        return register

    @property
    def types(self) -> Mapping[str, Limits] | None:
        """The types that are served, with their handlers' limits; None means every type."""
        if self._for_rest is not None:
            return None
        return MappingProxyType({name: item.limits for name, item in self._by_type.items()})

    def find(self, type: str) -> Handler:
        """The handler of a type.  Raises KeyError if the type is not served."""
        known = self._by_type.get(type, self._for_rest)
        return self._by_type[type] if known is None else known

    def only(self, types: Iterable[str]) -> Handlers:
        """The handlers of these types, by name.  Raises KeyError for one that is not served."""
        some = Handlers()
        some._by_type = {name: self.find(name) for name in types}
        return some

    def with_own(self, type: str, function: Function) -> Handlers:
        """These handlers, and one of the service's own for a type that nobody else may serve."""
        both = Handlers()
        both._for_rest = self._for_rest
        both.stand_in = self.stand_in
        both._by_type = {**self._by_type, type: _handler(function, Limits())}
        return both


def _check_type(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a task's type is a string, as in @handlers.task('mail'), not {name!r}")
    if not 1 <= len(name) <= MAX_TYPE:
        raise ValueError(f"a task's type has 1 to {MAX_TYPE} characters, not {len(name)}")
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise ValueError(f"a task's type has no control characters: {name!r}")
    if name.startswith(RESERVED):
        raise ValueError(f"types that begin with {RESERVED} are the service's own, as is {name!r}")


def _limits(max_retries: object, timeout: object) -> Limits:
    if max_retries is not None:
        if not isinstance(max_retries, int) or isinstance(max_retries, bool):
            raise TypeError(f"max_retries is a whole number, not {max_retries!r}")
        if not 0 <= max_retries <= MAX_RETRIES:
            raise ValueError(f"max_retries is 0 to {MAX_RETRIES}, not {max_retries}")
    if timeout is not None:
        if not isinstance(timeout, int | float) or isinstance(timeout, bool):
            raise TypeError(f"timeout is a number of seconds, not {timeout!r}")
        if not 0 < timeout <= MAX_TIMEOUT:
            raise ValueError(f"timeout is above 0 and at most {MAX_TIMEOUT} s, not {timeout}")
    return Limits(max_retries, timeout)


def _handler(function: object, limits: Limits) -> Handler:
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"a handler is a function of one task, not {function!r}")
    looks = (function, type(function).__call__)  # an object may be a handler, too
    if any(inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in looks):
        raise TypeError(f"a handler returns, it does not yield: {function!r}")
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise TypeError(f"a handler takes one argument, the task: {function!r}: {error}") from None
    except ValueError:
        pass  # a built-in that does not tell its signature
    is_async = any(inspect.iscoroutinefunction(one) for one in looks)
    return Handler(function, limits, is_async)
