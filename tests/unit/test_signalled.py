"""Which failures tell that a signal to stop has ended a program of the handler's."""

from __future__ import annotations

from subprocess import CalledProcessError

import pytest

from unlost.worker.attempt import raised
from unlost.worker.signalled import signalled


class WithStatus(Exception):
    def __init__(self, name: str, status: object) -> None:
        super().__init__("a program failed")
        setattr(self, name, status)


class Hostile(Exception):
    @property
    def returncode(self) -> int:
        raise ValueError("no")


def caused_by(cause: BaseException, *, hidden: bool = False) -> BaseException:
    try:
        try:
            raise cause
        except BaseException as error:  # noqa: BLE001  any may be a cause
            raise RuntimeError("it did not work") from (None if hidden else error)
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        *(CalledProcessError(code, ["sleep"]) for code in (-15, -2, 143, 130)),
        *(WithStatus(name, -15) for name in ("returncode", "exitcode", "exit_code")),
        SystemExit(143),
        caused_by(CalledProcessError(-15, "sleep")),
        caused_by(CalledProcessError(-15, "sleep"), hidden=True),
        ExceptionGroup("some", [ValueError("1"), CalledProcessError(143, "sleep")]),
        RuntimeError("exit -15"),
        RuntimeError("the converter died of SIGTERM"),
        RuntimeError("it ended with status 130."),
    ],
    ids=repr,
)
def test_a_program_that_a_signal_to_stop_ended(error: BaseException) -> None:
    assert signalled(error)
    assert raised(error).signalled


@pytest.mark.parametrize(
    "error",
    [
        CalledProcessError(1, ["sleep"], "SIGTERM"),
        CalledProcessError(-9, ["sleep"]),
        SystemExit(1),
        WithStatus("returncode", None),
        WithStatus("returncode", "-15"),
        Hostile("SIGKILL"),
        ValueError("expected 1430, got 13.0 in 2026-11-15"),
        ValueError("no such customer"),
    ],
    ids=repr,
)
def test_any_other_failure_does_not_wait(error: BaseException) -> None:
    assert not signalled(error)
    assert not raised(error).signalled


def test_a_status_is_believed_before_a_text() -> None:
    assert not signalled(caused_by(CalledProcessError(1, "kill -15 7")))


def test_a_chain_that_is_a_circle_or_very_long_is_looked_at_in_bounds() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert not signalled(one)
    error: BaseException = ValueError("last")
    for _ in range(10_000):
        error, before = ValueError("one"), error
        error.__cause__ = before
    assert not signalled(error)
