"""The audit holds a redrive's sums against the histories of its letters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.conformance.stage import Clock
from tests.unit.breakable import Breakable
from unlost.audit import audit
from unlost.ledger.memory import MemoryLedger
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import State


@pytest.fixture
async def stage() -> Breakable:
    """A redrive with one letter of each fate, one under way, one gone and one left."""
    clock = Clock()
    stage = Breakable(MemoryLedger(clock), clock)
    for task_id in ("well", "dies", "thrown", "stopped", "goes", "gone", "left"):
        clock.advance(1)
        await stage.bury(task_id)
    await stage.ledger.add_redrive(Redrive("one", canary=5, tolerate=None), Named())
    await stage.ledger.step_redrive("one")
    await stage.ledger.step_redrive("one")
    await stage.succeed(await stage.run("well"))
    await stage.die(await stage.run("dies"))
    await stage.die(await stage.run("thrown"))
    await stage.ledger.discard("thrown", None, None)
    await stage.ledger.cancel("stopped", None, None)
    await stage.ledger.discard("gone", None, None)
    await stage.ledger.stop_redrive("one", "stopped")
    for _ in range(3):
        await stage.ledger.step_redrive("one")
    return stage


def change(stage: Breakable, **changes: object) -> None:
    kept = stage.inside._redrives["one"]
    kept.redrive = replace(kept.redrive, **changes)


async def test_a_sound_one_passes_whatever_has_not_been_counted_yet(stage: Breakable) -> None:
    redrive = stage.inside._redrives["one"].redrive
    assert (redrive.succeeded, redrive.died_again, redrive.cancelled) == (1, 2, 1)
    assert (redrive.under_way, redrive.gone, redrive.left) == (1, 1, 1)
    assert (await audit(stage.ledger)).violations == []
    await stage.succeed(await stage.run("goes"))
    assert (await audit(stage.ledger)).violations == []


BROKEN: dict[str, Callable[[Breakable], None]] = {
    "one too many": lambda stage: change(stage, redriven=6, succeeded=2),
    "one too few": lambda stage: change(stage, redriven=4, died_again=1),
    "a death as a success": lambda stage: change(stage, succeeded=3, died_again=0),
    "less than nothing left": lambda stage: change(stage, selected=5),
    "less than nothing under way": lambda stage: change(stage, cancelled=3),
    "done too early": lambda stage: change(stage, state=RedriveState.DONE),
    "an act of nobody": lambda stage: stage.write("well", history=()),
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_sums_that_are_wrong_are_found(stage: Breakable, broken: str) -> None:
    BROKEN[broken](stage)
    found = await audit(stage.ledger)
    assert "the sums of redrives are right" in {one.promise for one in found.violations}


async def test_those_that_are_purged_leave_their_acts_alone(stage: Breakable) -> None:
    stage.inside._redrives.clear()
    assert (await audit(stage.ledger)).ok
    assert stage.kept("well").record.state is State.SUCCEEDED
