"""What the Tab key does, in a real shell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Http, doomed

PROGRAM = Path(sys.executable).with_name("unlost")

TAB = """
. "$SCRIPT"
unlost() { "$PROGRAM" "$@"; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
complete -p unlost | grep -q -- '-F _unlost' || exit 9
_unlost unlost "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Tab:
    """A bash that has read the script."""

    def __init__(self, script: Path) -> None:
        self._script = script

    def __call__(self, command: Command, *line: str) -> list[str]:
        """What is offered for the last word of a line."""
        done = subprocess.run(
            ["bash", "--norc", "-c", TAB, "bash", *line],
            env=command.environment(SCRIPT=str(self._script), PROGRAM=str(PROGRAM)),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Tab:
    script = tmp_path_factory.mktemp("tab") / "unlost.bash"
    with script.open("wb") as out:
        subprocess.run([PROGRAM, "completion", "bash"], stdout=out, check=True)
    return Tab(script)


def test_bash_completes_commands_flags_and_values(unlost: Command, tab: Tab) -> None:
    assert tab(unlost, "unlost", "se") == ["serve"]
    assert tab(unlost, "unlost", "dead", "re") == ["redrive"]
    assert tab(unlost, "unlost", "dead", "redrive", "--ca") == ["--canary"]
    assert tab(unlost, "unlost", "completion", "") == ["bash", "zsh", "fish"]
    assert tab(unlost, "unlost", "tasks", "--state", "r") == ["running", "retrying"]


def test_bash_completes_what_only_the_service_knows(client: Command, http: Http, tab: Tab) -> None:
    http.process(doomed("order-1", "order-2"))
    (group,) = json.loads(client("dead", "groups", "--json").out)["groups"]
    assert tab(client, "unlost", "dead", "redrive", "--group", "") == [group["fingerprint"]]
    assert sorted(tab(client, "unlost", "dead", "show", "ord")) == ["order-1", "order-2"]


def test_no_service_offers_nothing_and_says_nothing(unlost: Command, tab: Tab) -> None:
    assert tab(unlost, "unlost", "dead", "redrive", "--group", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script_that_knows_the_commands(unlost: Command, shell: str) -> None:
    script = unlost("completion", shell)
    assert script.status == 0
    for word in ("redrive", "canary", "serve", "stats"):
        assert word in script.out


def test_it_is_installed_where_the_shell_finds_it(unlost: Command) -> None:
    home = unlost.folder
    result = unlost("completion", "bash", "--install", "--json", HOME=str(home))
    path = Path(json.loads(result.out)["path"])
    assert path.is_relative_to(home)
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert str(path) in (home / ".bashrc").read_text()
    again = unlost("completion", "bash", "--install", HOME=str(home))
    assert str(path) in again.out
    assert (home / ".bashrc").read_text().count("# Load unlost completion") == 1


def test_a_shell_that_is_not_known_is_wrong_usage(unlost: Command) -> None:
    assert unlost("completion", "csh").status == 2
    assert "--install" in unlost("completion", "bash", "--json").complaint
