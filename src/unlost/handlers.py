"""Handlers: what users write, the registry that knows them, and how they are loaded."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar, TypeVar

import msgspec

from unlost import jsontext
from unlost.policy import Limits
from unlost.task import MAX_RETRIES, MAX_TIMEOUT, MAX_TYPE, WEBHOOK_TYPE, Micros

Function = Callable[["Task"], Any]
F = TypeVar("F", bound=Callable[..., Any])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Retry(Exception):
    """Raised by a handler to ask for another attempt, at least `after` seconds from now.

    It fails the attempt like any exception: with no attempt left, the task is dead.
    """

    def __init__(self, after: float = 0.0, reason: str = "") -> None:
        super().__init__(reason or f"the handler asked for another attempt after {after} s")
        self.after = after


class Reject(Exception):
    """Raised by a handler to send the task to the dead letters at once."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


class HandlerNotLoaded(Exception):
    """The handlers that were named cannot be used.  The message is one line that says why."""


class Task:
    """What a handler is given: one attempt of a task.

    `attempt` counts from 1 within this submit or redrive, as `max_retries` does.
    """

    __slots__ = (
        "_cancelled", "_deadline", "_number", "_payload", "_submitted_at", "_text", "attempt",
        "id", "max_retries", "redrive_count", "type",
    )  # fmt: skip

    _witness: ClassVar[Callable[[Task, str], None] | None] = None
    """Who is told of effects: `unlost prove`, else nobody."""

    def __init__(  # noqa: PLR0913  a value with these members
        self,
        *,
        id: str,
        type: str,
        payload: str,
        attempt: int,
        max_retries: int,
        redrive_count: int,
        submitted_at: Micros,
        deadline: Micros,
        number: int,
    ) -> None:
        """`payload` is JSON text; `number` is the attempt's in the ledger, redrives included."""
        self.id = id
        self.type = type
        self.attempt = attempt
        self.max_retries = max_retries
        self.redrive_count = redrive_count
        self._text = payload
        self._payload: Any = _UNREAD
        self._submitted_at = submitted_at
        self._deadline = deadline
        self._number = number
        self._cancelled = False

    def effect(self, name: str) -> None:
        """Say that an effect has just happened that must happen once per task, such as "charged".

        `unlost prove` records it and reports each that happened more than once.  Elsewhere this
        does nothing, and costs next to nothing.
        """
        if Task._witness is not None:
            Task._witness(self, name)

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


_UNREAD: Any = object()


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

    def with_own(self, type: str, function: Function) -> Handlers:
        """These handlers, and one of the service's own for a type that nobody else may serve."""
        both = Handlers()
        both._for_rest = self._for_rest
        both._by_type = {**self._by_type, type: _handler(function, Limits())}
        return both


def _check_type(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a task's type is a string, as in @handlers.task('mail'), not {name!r}")
    if not 1 <= len(name) <= MAX_TYPE:
        raise ValueError(f"a task's type has 1 to {MAX_TYPE} characters, not {len(name)}")
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise ValueError(f"a task's type has no control characters: {name!r}")
    if name == WEBHOOK_TYPE:
        raise ValueError(f"the type {name!r} is the service's own")


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


def load(spec: str) -> Handlers:
    """The handlers that `MODULE:NAME` names: a `Handlers`, or a function that serves every type.

    NAME may be dotted.  The working directory is on the import path.  Raises HandlerNotLoaded,
    whatever the module does.
    """
    module_name, _, path = spec.partition(":")
    value = _import(module_name)
    for step, name in enumerate(path.split("."), start=1):
        try:
            value = getattr(value, name)
        except Exception:  # noqa: BLE001  a module's or class's own __getattr__
            within = ".".join([module_name, *path.split(".")[: step - 1]])
            like = _like(name, vars(value) if isinstance(value, ModuleType) else ())
            raise HandlerNotLoaded(f"{spec}: there is no {name!r} in {within}{like}") from None
    return _as_handlers(spec, value)


def _import(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name and _leads_to(error.name, name):
            like = _like(error.name, [found.name for found in pkgutil.iter_modules([here])])
            raise HandlerNotLoaded(f"there is no module {error.name!r}{like}") from error
        why = " ".join(f"{type(error).__name__}: {_text(error)}".split())
        raise HandlerNotLoaded(f"importing {name!r} failed: {why}") from error


def _like(name: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of a message."""
    close = difflib.get_close_matches(name, [one for one in known if not one.startswith("_")])
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def _leads_to(missing: str, wanted: str) -> bool:
    return wanted == missing or wanted.startswith(missing + ".")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  the user's own __str__
        return "(its message cannot be read)"


def _as_handlers(spec: str, value: object) -> Handlers:
    if isinstance(value, Handlers):
        if value.types is not None and not value.types:
            raise HandlerNotLoaded(f"{spec} has no handlers: nothing is registered with it")
        return value
    try:
        return Handlers.for_every_type(value)
    except TypeError as error:
        raise HandlerNotLoaded(f"{spec} is neither a Handlers nor a handler: {error}") from None
