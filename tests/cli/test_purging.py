"""`unlost purge`, and what the commands on a ledger refuse."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.ledgers import PAYLOAD, furnish, kept
from tests.cli.terminal import at_terminal


@pytest.fixture
def target(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    asyncio.run(furnish(url))
    return url


def test_purge_forgets_what_is_old_and_over(unlost: Command, target: str) -> None:
    much = unlost("purge", "--older-than", "1e9", "--ledger", target)
    assert (much.status, much.out) == (0, "0 tasks purged\n")
    result = unlost("purge", "--older-than", "60", "--ledger", target)
    assert (result.status, result.out) == (0, "2 tasks purged\n")
    by_id = {one.record.task_id: one.record for one in kept(target)}
    for task_id in ("done", "discarded"):
        assert by_id[task_id].purged_at
        assert by_id[task_id].payload is None
        assert by_id[task_id].digest
    assert by_id["dead"].payload == "{}"
    assert by_id["redriven"].payload == PAYLOAD  # its death is still to be reported
    again = unlost("purge", "--older-than", "60", "--ledger", target, "--json")
    assert json.loads(again.out) == {"purged": 0}
    assert unlost("audit", "--ledger", target).status == 0


def test_purge_asks_on_a_terminal(unlost: Command, target: str) -> None:
    with at_terminal(unlost, "purge", "--older-than", "60", "--ledger", target) as person:
        person.wait_for("[y/N]")
        person.type("n\n")
        assert person.close() == 1
    assert "2 tasks purged" in unlost("purge", "--older-than", "60", "--ledger", target).out


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("export", 2),
        ("export --ledger nowhere", 2),
        ("export --ledger sqlite:///none.db", 1),
        ("export --ledger sqlite:///none.db --json", 2),
        ("import --ledger sqlite:///a.db", 2),
        ("import none.ndjson --ledger sqlite:///a.db", 1),
        ("import --odd --ledger sqlite:///a.db", 2),
        ("import none.ndjson --ledger memory://", 2),
        ("purge --ledger sqlite:///none.db", 2),
        ("purge --older-than -1 --ledger sqlite:///none.db", 2),
        ("purge --older-than nan --ledger sqlite:///none.db", 2),
        ("purge --older-than 1 --ledger sqlite:///none.db", 1),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    unlost: Command, tmp_path: Path, words: str, status: int
) -> None:
    result = unlost(*words.split())
    assert result.status == status
    assert result.complaint
    assert not list(tmp_path.glob("*.db"))
