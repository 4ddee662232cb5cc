"""`unlost pause`, `resume` and `pauses`, on a ledger."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.ledgers import idle


@pytest.fixture
def target(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    asyncio.run(idle(url))
    return url


def test_what_is_paused_is_listed_until_it_is_resumed(unlost: Command, target: str) -> None:
    words = ("--by", "ann", "--reason", "mail is down")
    assert unlost("pause", "mail", "--ledger", target, *words).out == "mail is paused\n"
    assert unlost("pause", "mail", "--ledger", target, "--by", "bob").status == 0
    (pause,) = json.loads(unlost("pauses", "--ledger", target, "--json").out)["pauses"]
    assert (pause["type"], pause["by"], pause["reason"]) == ("mail", "ann", "mail is down")
    assert pause["at"].endswith("Z")
    assert "mail is down" in unlost("pauses", "--ledger", target).out
    assert unlost("resume", "mail", "--ledger", target).out == "mail is not paused\n"
    for command, paused in (("pause", True), ("resume", False)):
        said = json.loads(unlost(command, "mail", "--ledger", target, "--json").out)
        assert said == {"type": "mail", "paused": paused}
    assert json.loads(unlost("pauses", "--ledger", target, "--json").out) == {"pauses": []}


def test_a_pause_needs_a_type_that_can_be_and_a_ledger_that_is_there(
    unlost: Command, tmp_path: Path
) -> None:
    assert unlost("pause", "x" * 101, "--ledger", f"sqlite:///{tmp_path}/l.db").status == 2
    missing = unlost("pause", "mail", "--ledger", f"sqlite:///{tmp_path}/missing.db")
    assert missing.status == 1
    assert missing.err.count("\n") == 1
