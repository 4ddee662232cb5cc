"""What the SQLite ledger keeps of attempts that were claimed by the API costs no other task."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from tests.conformance.stage import Stage
from tests.conformance.test_pulling import LEASE, pull
from unlost.ledger.opening import open_ledger
from unlost.ledger.sqlite.attempts.pulling import AGAIN, OVERTIME


def kept(file: Path) -> list[tuple[str, int]]:
    db = apsw.Connection(str(file))
    found = list(db.execute("SELECT token, deadline FROM pulled ORDER BY token"))
    db.close()
    return found


@pytest.mark.parametrize("stage", ["sqlite"], indirect=True)
async def test_it_goes_with_the_attempt_whatever_its_end(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    await stage.submit("done", "again", "lost", "let go", "cancelled", "runs")
    given = (await pull(stage, "one", 6)).attempts
    assert kept(file) == sorted((one.token, one.deadline) for one in given)
    done, again, lost, let_go, _, runs = given
    assert await stage.succeed(done)
    assert await stage.retry(again)
    assert await stage.lose(lost, LEASE)
    assert await stage.release(let_go)
    await stage.ledger.cancel("cancelled", None, None)
    assert kept(file) == [(runs.token, runs.deadline)]
    assert await stage.succeed(runs)
    assert kept(file) == []


async def test_no_index_of_tasks_is_for_them(tmp_path: Path) -> None:
    """Whatever its condition, SQLite asks for it whenever a task starts or ends."""
    file = tmp_path / "ledger.db"
    await (await open_ledger(f"sqlite:///{file}")).close()
    with apsw.Connection(str(file)) as db:
        names = {row[1] for row in db.execute("PRAGMA index_list(task)") if row[3] == "c"}
    assert names == {"task_open", "task_parked", "task_ready", "task_running", "task_waiting"}


@pytest.mark.parametrize("sql", [AGAIN, OVERTIME])
async def test_they_are_found_by_an_index(tmp_path: Path, sql: str) -> None:
    file = tmp_path / "ledger.db"
    await (await open_ledger(f"sqlite:///{file}")).close()
    with apsw.Connection(str(file)) as db:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", ("a", "b"))]
    assert plan
    assert all(step.startswith("SEARCH") for step in plan), plan
