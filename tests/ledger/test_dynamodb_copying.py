"""Restoring tasks that one transaction cannot hold, or whose ids are taken just then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from tests.conformance.stage import Clock, Stage, must_add_up, submission
from tests.conformance.test_copying import copies
from tests.ledger.dynamodb_steps import LARGE, never
from tests.ledger.faulty import CutOff
from tests.ledger.patience import at_once
from tests.ledger.tables import Table
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Copy, Verdict
from unlost.redrive import Named, Redrive

DEATHS = 120
"""More than one transaction holds, of attempts, of acts and of reports."""
PARTS = 4
"""Transactions that such a task takes."""


@pytest.fixture
async def often_dead() -> Copy:
    """A task that died again and again, with no death reported."""
    clock = Clock()
    stage = Stage(MemoryLedger(clock), clock, never)
    await stage.submit("a", payload=LARGE)
    for number in range(DEATHS):
        if number:
            await stage.ledger.redrive("a", "ann", None)
        clock.advance(1)
        await stage.die(await stage.run("a"))
    (copy,) = await copies(stage.ledger)
    assert len(copy.unreported) == DEATHS
    return copy


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("at", range(PARTS))
async def test_a_large_task_that_was_cut_off_is_not_there_and_a_repeat_completes_it(
    table: Table, often_dead: Copy, at: int, applied: bool
) -> None:
    watcher = table.ledger(Clock())
    await watcher.open()
    client = CutOff(table.client, at, applied=applied)
    ledger = table.ledger(Clock(), client=client, retrying=at_once())
    with pytest.raises(LedgerUnavailable):
        await ledger.restore([often_dead])
    whole = applied and at == PARTS - 1
    assert await copies(watcher) == ([often_dead] if whole else [])
    expected = Verdict.REPLAYED if whole else Verdict.ACCEPTED
    assert await watcher.restore([often_dead]) == [expected]
    assert await copies(watcher) == [often_dead]
    await must_add_up(watcher)
    await ledger.close()
    await watcher.close()


class Before:
    """A client that does something just before its `at`-th transaction."""

    def __init__(self, client: Any, at: int, what: Callable[[], None]) -> None:
        self._client = client
        self._left = at
        self._what = what

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return partial(self._write, method) if name == "transact_write_items" else method

    def _write(self, method: Callable[..., Any], **arguments: Any) -> Any:
        if self._left == 0:
            self._what()
        self._left -= 1
        return method(**arguments)


@pytest.mark.parametrize("at", range(PARTS))
async def test_a_task_submitted_meanwhile_keeps_what_is_its_own(
    table: Table, often_dead: Copy, at: int
) -> None:
    watcher, theirs = table.ledger(Clock()), LARGE.replace("é", "è")
    await watcher.submit([submission("a", theirs)])
    record = table.item("t#a", "task")
    payload = table.item("t#a", "payload#0")
    await watcher._calls.delete_many([("t#a", "task"), ("t#a", "payload#0")])

    def submit() -> None:
        for item in (record, payload):
            table.client.put_item(TableName=table.name, Item=item)

    ledger = table.ledger(Clock(), client=Before(table.client, at, submit))
    assert await ledger.restore([often_dead]) == [Verdict.CONFLICT]
    (kept,) = await copies(watcher)
    assert kept.record.payload == theirs
    assert (kept.record.attempts, kept.record.history) == ((), ())
    await ledger.close()
    await watcher.close()


async def test_no_death_of_many_at_the_same_moment_is_lost(table: Table) -> None:
    clock = Clock()
    stage = Stage(MemoryLedger(clock), clock, never)
    names = [f"t{number}" for number in range(150)]
    await stage.submit(*names)
    for claimed in await stage.claim(len(names)):
        await stage.die(claimed)
    given = await copies(stage.ledger)
    assert len({copy.unreported[0].died_at for copy in given}) == 1
    ledger = table.ledger(clock)
    assert set(await ledger.restore(given)) == {Verdict.ACCEPTED}
    reports = await ledger.claim_reports(1_000, 1)
    assert sorted(report.task_id for report in reports) == sorted(names)
    again = [replace(copy, unreported=()) for copy in given]
    assert set(await ledger.restore(again)) == {Verdict.REPLAYED}
    await ledger.close()


async def test_a_letter_under_way_still_tells_its_redrive_of_its_end(table: Table) -> None:
    clock = Clock()
    stage = Stage(MemoryLedger(clock), clock, never)
    for task_id in ("ended", "going"):
        await stage.bury(task_id)
    clock.advance(1)
    await stage.ledger.add_redrive(Redrive("one", canary=0, tolerate=None), Named())
    for _ in range(2):
        await stage.ledger.step_redrive("one")
    await stage.succeed(await stage.run("ended"))
    ledger = table.ledger(Clock())
    await ledger.restore(await copies(stage.ledger))
    going, over = (table.item(f"t#{one}", "task") for one in ("going", "ended"))
    assert going is not None
    assert going["redrive"] == {"S": "one"}
    assert over is not None
    assert "redrive" not in over
    await ledger.close()
