"""What holds of a worker on a ledger holds of one by the API: the same tests, in virtual time."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.pulling.stage import stage
from tests.unit import test_follow_ups, test_once, test_worker, test_worker_stopping

MODULES: dict[ModuleType, set[str]] = {
    test_worker: set(),
    test_once: set(),
    test_follow_ups: set(),
    test_worker_stopping: set(),
}


def _tests() -> list[Any]:
    return [
        pytest.param(module, name, given, id=f"{name}-{number}")
        for module, left_out in MODULES.items()
        for name in vars(module)
        if name.startswith("test_") and name not in left_out
        for number, given in enumerate(_given(getattr(module, name)))
    ]


def _given(test: Any) -> list[dict[str, Any]]:
    """What a test is called with, each time."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    if not marks:
        return [{}]
    [mark] = marks
    names, values = mark.args
    several = [names] if isinstance(names, str) else names
    rows = [getattr(value, "values", value) for value in values]
    return [
        dict(zip(several, row if isinstance(row, tuple) else (row,), strict=True)) for row in rows
    ]


@pytest.mark.parametrize(("module", "name", "given"), _tests())
def test_it_holds_by_the_api(
    module: ModuleType, name: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "stage", stage)
    getattr(module, name)(**given)
