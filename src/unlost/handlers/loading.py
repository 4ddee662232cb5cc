"""From `MODULE:NAME` to handlers."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from unlost.handlers.importing import import_from, stand_in_for_others
from unlost.handlers.registry import Handlers


class HandlerNotLoaded(Exception):
    """The handlers that were named cannot be used.  The message is one line that says why."""


def load(spec: str) -> Handlers:
    """The handlers that `MODULE:NAME` names: a `Handlers`, or a function that serves every type.

    NAME may be dotted.  The working directory is on the import path: first while the module is
    imported, then behind the standard library.  Raises HandlerNotLoaded,
    whatever the module does.
    """
    module_name, _, path = spec.partition(":")
    value = importlib.import_module(module_name) if _is_ours(spec) else _import(module_name)
    for step, name in enumerate(path.split("."), start=1):
        try:
            value = getattr(value, name)
        except HandlerNotLoaded:
            raise
        except Exception:  # noqa: BLE001  a module's or class's own __getattr__
            within = ".".join([module_name, *path.split(".")[: step - 1]])
            like = _like(name, vars(value) if isinstance(value, ModuleType) else ())
            raise HandlerNotLoaded(f"{spec}: there is no {name!r} in {within}{like}") from None
    return _as_handlers(spec, value)


def prepare(spec: str) -> None:
    """Import the module that `load` will look into, if it is one of unlost's own and no user's:
    it may want to be there before a ledger is opened."""
    if _is_ours(spec):
        importlib.import_module(spec.partition(":")[0])


def _is_ours(spec: str) -> bool:
    return spec.startswith(f"{__name__.partition('.')[0]}.")


def _import(name: str) -> Any:
    here = str(Path.cwd())
    try:
        return import_from(here, name)
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name and _leads_to(error.name, name):
            like = _like(error.name, [found.name for found in pkgutil.iter_modules([here])])
            raise HandlerNotLoaded(f"there is no module {error.name!r}{like}") from error
        why = " ".join(f"{type(error).__name__}: {_text(error)}".split())
        if others := stand_in_for_others(here, error):
            files = " and ".join(others)
            why += f" ({files} came in place of what is Python's or installed under that name)"
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
