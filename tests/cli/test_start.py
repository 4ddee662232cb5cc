"""What a command imports, which is most of the time that a short one takes."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

import pytest

from tests.cli.conftest import Command
from unlost.cli.app import app

AND_TELL = """
import sys
from unlost.cli import main
status = main()
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""


def imported(command: Command, *words: str) -> set[str]:
    """The modules that a command has imported by its end."""
    ended = subprocess.run(
        [sys.executable, "-c", AND_TELL, *words],
        env=command.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return set(ended.stderr.splitlines()[-1].split())


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_the_list_of_commands_imports_none_of_them(unlost: Command) -> None:
    modules = imported(unlost, "--help")
    assert {name for name in modules if name.startswith("unlost.cli")} == {
        "unlost.cli", "unlost.cli.app", "unlost.cli.entry", "unlost.cli.failures",
    }  # fmt: skip
    assert not packages(modules) & {"httpx", "markdown_it", "pygments", "click", "apsw"}


def test_a_short_command_imports_only_what_it_needs(client: Command) -> None:
    modules = imported(client, "stats", "--json")
    assert "httpx" in modules
    assert {name for name in modules if name.startswith("unlost.cli.commands.")} == {
        "unlost.cli.commands.stats"
    }
    assert not packages(modules) & {"rich", "pygments", "click", "markdown_it", "apsw", "starlette"}
    assert not modules & {"unlost.settings", "unlost.ledger", "unlost.api", "unlost.cli.ledgers"}


def test_a_service_does_not_pay_for_what_only_other_commands_need(
    unlost: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(unlost.folder)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        modules = imported(unlost, "serve", "--port", port, "--handler", "app:handlers")
    assert "unlost.supervisor.tree" in modules
    assert not packages(modules) & {"cyclopts", "rich", "httpx", "uvicorn", "starlette"}
    assert {name for name in modules if name.startswith("unlost.cli")} == {
        "unlost.cli", "unlost.cli.entry", "unlost.cli.failures", "unlost.cli.plain",
        "unlost.cli.services", "unlost.cli.text",
    }  # fmt: skip


def test_the_list_says_of_each_command_what_its_own_help_begins_with(unlost: Command) -> None:
    listed = dict(re.findall(r"│ ([a-z]+) +(\S.*?) +│", unlost("--help", COLUMNS="200").out))
    for name, command in app.resolved_commands().items():
        if not name.startswith("-"):
            begin = command.help.partition("\n\n")[0]
            assert listed[name] == " ".join(begin.replace("`", "").split())
