"""The registry of handlers, and loading it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from unlost import Handlers, Task
from unlost.handlers import HandlerNotLoaded, load
from unlost.policy import Limits


async def asynchronous(task: Task) -> None: ...


def synchronous(task: Task) -> None: ...


class Callable:
    async def __call__(self, task: Task) -> None: ...


def task(**changes: Any) -> Task:
    given: dict[str, Any] = {
        "id": "t", "type": "default", "payload": '{"a":[1]}', "attempt": 2, "max_retries": 3,
        "redrive_count": 1, "submitted_at": 1_700_000_000_000_001,
        "deadline": 1_700_000_060_000_001, "number": 7,
    }  # fmt: skip
    return Task(**given | changes)


def test_a_task_has_exactly_the_promised_members() -> None:
    members = {name for name in dir(task()) if not name.startswith("_")}
    assert members == {
        "id", "type", "payload", "attempt", "max_retries", "redrive_count", "submitted_at",
        "deadline", "cancelled", "effect", "idempotency_key", "number", "once", "scheduled_for",
        "submit", "transaction",
    }  # fmt: skip


def test_a_tasks_times_are_aware_and_exact_to_the_microsecond() -> None:
    assert task().submitted_at == datetime(2023, 11, 14, 22, 13, 20, 1, UTC)
    assert task().deadline == datetime(2023, 11, 14, 22, 14, 20, 1, UTC)


def test_a_payload_keeps_big_integers_and_what_a_handler_changes_stays_in_its_attempt() -> None:
    big = task(payload='{"n":123456789012345678901234567890}')
    assert big.payload["n"] == 123456789012345678901234567890
    first, second = task(), task()
    first.payload["a"].append(2)
    assert (first.payload, second.payload) == ({"a": [1, 2]}, {"a": [1]})


def test_a_payload_that_nobody_asks_for_is_never_read() -> None:
    unreadable = task(payload="not JSON")
    assert unreadable.id == "t"
    with pytest.raises(ValueError, match="Expecting value"):
        _ = unreadable.payload


def test_a_decorated_function_stays_itself_and_its_type_has_its_limits() -> None:
    handlers = Handlers()
    assert handlers.task("a", max_retries=5, timeout=20)(asynchronous) is asynchronous
    handlers.task("b")(synchronous)
    assert handlers.types == {"a": Limits(5, 20), "b": Limits()}
    assert (handlers.find("a").is_async, handlers.find("b").is_async) == (True, False)


def test_one_function_serves_every_type() -> None:
    handlers = Handlers.for_every_type(synchronous)
    assert handlers.types is None
    assert handlers.find("whatever").function is synchronous


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (asynchronous, True),
        (synchronous, False),
        (partial(asynchronous), True),
        (partial(synchronous), False),
        (Callable(), True),
        (Callable().__call__, True),
    ],
)
def test_async_handlers_are_known_in_every_form(function: Any, is_async: bool) -> None:
    assert Handlers.for_every_type(function).find("t").is_async is is_async


def test_a_second_handler_of_a_type_is_refused_at_once() -> None:
    handlers = Handlers()
    handlers.task("a")(asynchronous)
    with pytest.raises(ValueError, match="already a handler for tasks of type 'a'"):
        handlers.task("a")(synchronous)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("", {}, "1 to 100 characters, not 0"),
        ("x" * 101, {}, "1 to 100 characters, not 101"),
        ("a\nb", {}, "no control characters"),
        (asynchronous, {}, "a string, as in @handlers.task"),
        ("a", {"max_retries": -1}, "max_retries is 0 to 100"),
        ("a", {"max_retries": 101}, "max_retries is 0 to 100"),
        ("a", {"max_retries": 1.0}, "max_retries is a whole number"),
        ("a", {"max_retries": True}, "max_retries is a whole number"),
        ("a", {"timeout": 0}, "timeout is above 0"),
        ("a", {"timeout": float("nan")}, "timeout is above 0"),
        ("a", {"timeout": 43_201}, "timeout is above 0 and at most 43200"),
        ("a", {"timeout": "5"}, "timeout is a number of seconds"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_is_written(
    name: Any, options: Any, message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Handlers().task(name, **options)


def two(task: Task, other: Any) -> None: ...


def none() -> None: ...


def yields(task: Task) -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("function", [two, none, yields, 7, None, Callable, Handlers])
def test_what_is_no_function_of_one_task_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match="a handler"):
        Handlers().task("a")(function)


MODULE = """
import sys
from unlost import Handlers
handlers = Handlers()
empty = Handlers()
class Group:
    inner = handlers
number = 7
@handlers.task("a")
def function(task): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with modules in it that are forgotten afterwards."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != ""])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "loaded_app.py").write_text(MODULE)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_handlers_are_loaded_from_the_working_directory(folder: Path) -> None:
    assert load("loaded_app:handlers").types == {"a": Limits()}
    assert load("loaded_app:Group.inner").types == {"a": Limits()}
    assert load("loaded_app:function").types is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_app:handlers", "there is no module 'no_such_app'"),
        ("loaded_app.deeper:handlers", "there is no module 'loaded_app.deeper'"),
        ("loaded_app:nothing", "loaded_app:nothing: there is no 'nothing' in loaded_app"),
        ("loaded_app:Group.x", "loaded_app:Group.x: there is no 'x' in loaded_app.Group"),
        ("loaded_app:empty", "loaded_app:empty has no handlers: nothing is registered with it"),
        ("loaded_app:number", "loaded_app:number is neither a Handlers nor a handler: "),
        ("failing_app:x", "importing 'failing_app' failed: ValueError: two lines"),
        ("exiting_app:x", "importing 'exiting_app' failed: SystemExit: 3"),
        ("needing_app:x", "importing 'needing_app' failed: ModuleNotFoundError: No module named"),
        ("broken_app:x", "importing 'broken_app' failed: SyntaxError: "),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(folder: Path, spec: str, message: str) -> None:
    (folder / "failing_app.py").write_text("raise ValueError('two\\nlines')")
    (folder / "exiting_app.py").write_text("import sys; sys.exit(3)")
    (folder / "needing_app.py").write_text("import no_such_library")
    (folder / "broken_app.py").write_text("def f(:")
    with pytest.raises(HandlerNotLoaded) as failure:
        load(spec)
    assert str(failure.value).startswith(message)
    assert "\n" not in str(failure.value)
