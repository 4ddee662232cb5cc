"""What the upgrade to version 6 reads, during which nobody else writes, and what it keeps of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import apsw
import pytest

from tests.conformance.stage import Clock, Stage
from unlost.ledger.opening import open_ledger
from unlost.ledger.sqlite.migrations import VERSION_6

BEFORE = """
DROP TRIGGER act_cancels; DROP TRIGGER dead_counts; DROP TRIGGER lifted_counts;
DROP TRIGGER group_goes; DROP TABLE cancelled; DROP TABLE group_of_type;
"""


@pytest.fixture
async def stage(tmp_path: Path, clock: Clock) -> AsyncIterator[Stage]:
    """A ledger with some of what the upgrade looks for."""
    opener = partial(open_ledger, f"sqlite:///{tmp_path}/ledger.db", clock)
    stage = Stage(await opener(), clock, opener)
    await stage.bury("dead", "discarded", "again")
    await stage.ledger.discard("discarded", None, None)
    await stage.ledger.redrive("again", None, None)
    await stage.submit("cancelled")
    await stage.ledger.cancel("cancelled", None, None)
    yield stage
    await stage.ledger.close()


def upgraded(folder: Path, before: str = "") -> tuple[int, list[str], list[tuple[str, int]]]:
    """The instructions that it takes, once this was done to the older file; the tasks that were
    cancelled, and the dead letters of each type, as it counts them."""
    instructions = 0

    def count() -> bool:
        nonlocal instructions
        instructions += 1
        return False

    db = apsw.Connection(str(folder / "ledger.db"))
    db.execute(BEFORE + before)
    db.set_progress_handler(count, 1)
    with db:
        db.execute(VERSION_6)
    db.set_progress_handler(None)
    ids = [
        one for (one,) in db.execute("SELECT id FROM cancelled JOIN task USING (seq) ORDER BY id")
    ]
    dead = list(db.execute("SELECT type, count FROM group_of_type"))
    db.close()
    return instructions, ids, dead


async def test_it_reads_no_tasks_but_those_that_are_dead_or_were_cancelled(
    stage: Stage, tmp_path: Path
) -> None:
    found = upgraded(tmp_path)
    assert found[1:] == (["cancelled", "discarded"], [("default", 1)])
    await stage.submit(*(f"more-{n}" for n in range(500)))
    assert upgraded(tmp_path) == found


async def test_it_finds_those_that_were_cancelled_of_which_no_history_tells(
    stage: Stage, tmp_path: Path
) -> None:
    _, ids, _ = upgraded(tmp_path, "DELETE FROM act WHERE event = 'cancel'")
    assert ids == ["cancelled", "discarded"]
