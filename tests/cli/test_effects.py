"""`unlost effects`: what happened more than once, and after what."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.conformance.stage import Stage
from unlost.ledger.opening import open_ledger, wall_clock
from unlost.ledger.values import NewEffect


@pytest.fixture
def target(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    asyncio.run(happened(url))
    return url


async def happened(url: str) -> None:
    """One task was charged in an attempt that was lost, and again; after a redrive once more."""
    ledger = await open_ledger(url)
    stage = Stage(ledger, wall_clock, None)  # type: ignore[arg-type]
    await stage.submit("fine")
    fine = await stage.run("fine")
    await ledger.declare_effects([NewEffect("fine", 1, 1, "charged"), NewEffect("fine", 1, 2, "x")])
    await stage.succeed(fine)
    await stage.submit("order-17")
    first = await stage.run("order-17")
    await ledger.declare_effects([NewEffect("order-17", 1, 1, "charged")])
    await stage.lose(first)
    second = await stage.run("order-17")
    again = [NewEffect("order-17", 2, 1, "charged"), NewEffect("order-17", 2, 2, "mailed")]
    await ledger.declare_effects(again)
    await stage.die(second)
    await ledger.redrive("order-17", "ann", None)
    third = await stage.run("order-17")
    twice = [NewEffect("order-17", 3, turn, "charged") for turn in (1, 2)]
    await ledger.declare_effects(twice)
    await stage.succeed(third)
    await ledger.close()


def test_it_tells_what_happened_twice_and_after_what(unlost: Command, target: str) -> None:
    result = unlost("effects", "--repeated", "--ledger", target)
    assert result.status == 0
    [head, line] = result.out.splitlines()
    assert head.split() == ["TASK", "TYPE", "EFFECT", "TIMES", "ATTEMPTS", "AFTER"]
    told = "attempt 1 lost (WorkerLost); attempt 2 failed (Boom), redriven; attempt 3 did it again"
    assert " ".join(line.split()) == f"order-17 default charged 4 1, 2, 3, 3 {told}"
    found = json.loads(unlost("effects", "--repeated", "--ledger", target, "--json").out)
    [one] = found["effects"]
    assert (one["taskId"], one["type"], one["name"], one["times"]) == (
        "order-17", "default", "charged", 4
    )  # fmt: skip
    assert [(each["attempt"], each["outcome"]) for each in one["happened"]] == [
        (1, "lost"), (2, "failed"), (3, "succeeded"), (3, "succeeded")
    ]  # fmt: skip
    assert [each.get("redriven", False) for each in one["happened"]] == [False, False, True, False]


def test_it_lists_all(unlost: Command, target: str) -> None:
    found = json.loads(unlost("effects", "--ledger", target, "--json").out)["effects"]
    assert [(one["taskId"], one["name"], one["attempt"]) for one in found] == [
        ("fine", "charged", 1), ("fine", "x", 1), ("order-17", "charged", 1),
        ("order-17", "charged", 2), ("order-17", "mailed", 2), ("order-17", "charged", 3),
        ("order-17", "charged", 3),
    ]  # fmt: skip
    lines = unlost("effects", "--ledger", target, "--limit", "2").out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["fine", "charged", "1"],
        ["fine", "x", "1"],
    ]


def test_what_is_moved_is_still_told(unlost: Command, target: str, tmp_path: Path) -> None:
    file, other = tmp_path / "export", f"sqlite:///{tmp_path}/other.db"
    assert unlost("export", "--ledger", target, "--out", str(file)).status == 0
    assert unlost("import", str(file), "--ledger", other).status == 0
    words = ("effects", "--repeated", "--json", "--ledger")
    assert unlost(*words, other).out == unlost(*words, target).out


def test_a_limit_below_one_is_refused(unlost: Command, target: str) -> None:
    assert unlost("effects", "--ledger", target, "--limit", "0").status == 2
