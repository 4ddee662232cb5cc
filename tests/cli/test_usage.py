"""What every command has in common: help, exit statuses, one line for what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from cyclopts import App

from tests.cli.conftest import Command, Http, doomed, ndjson
from unlost.cli.app import app
from unlost.cli.options import whole

COMMANDS = [
    "serve", "api", "worker", "submit", "task", "tasks", "stats", "audit", "demo", "prove", "key",
    "export", "import", "purge", "types", "pause", "resume", "limit", "breaker", "workers",
    "redrives", "doctor", "completion",
    "dead", "dead list", "dead show", "dead groups", "dead redrive", "dead discard", "dead export",
    "key create", "key list", "key revoke",
]  # fmt: skip

CLIENT_CALLS = [
    "task a", "tasks", "stats", "stats --watch", "audit", "dead list", "dead show a",
    "dead groups", "dead redrive a", "dead redrive --all", "dead discard a", "dead export",
    "types", "workers", "pause a", "resume a", "limit a 1", "breaker a", "dead redrive a --canary",
    "redrives", "redrives a", "redrives a --stop",
]  # fmt: skip


def test_without_a_command_the_help_is_shown(unlost: Command) -> None:
    result = unlost()
    assert result.status == 0
    for command in COMMANDS[:12]:
        assert command in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(unlost: Command, command: str) -> None:
    result = unlost(*command.split(), "--help")
    assert result.status == 0
    assert result.err == ""
    assert result.out.startswith(f"Usage: unlost {command}")


def test_the_version_is_shown(unlost: Command) -> None:
    assert unlost("--version").out.startswith("unlost 0.")


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["dead", "frobnicate"],
        ["task"],
        ["task", ""],
        ["task", "a", "b"],
        ["tasks", "--frobnicate"],
        ["tasks", "--limit", "many"],
        ["tasks", "--limit", "0"],
        ["tasks", "--limit", "1", "--limit", "2"],
        ["tasks", "--state"],
        ["tasks", "--state", "sleeping"],
        ["tasks", "--since", "yesterday"],
        ["tasks", "--since", "2030-01-31T12:00:00"],
        ["tasks", "--until", "2030-02-30T12:00:00Z"],
        ["tasks", "--until", ""],
        ["tasks", "--type", "x" * 101],
        ["tasks", "--id-prefix", "x" * 256],
        ["dead", "list", "--type", ""],
        ["dead", "list", "--error", ""],
        ["dead", "export", "--type", "a\x07b"],
        ["dead", "redrive", "a", "--type", ""],
        ["dead", "redrive", "a", "--reason", "x" * 1001],
        ["dead", "discard", "a", "--by", "x" * 1001],
        ["submit"],
        ["submit", "-", "--retry-for", "-1"],
        ["submit", "-", "--priority", "-101"],
        ["submit", "-", "--priority", "101"],
        ["submit", "-", "--max-retries", "-1"],
        ["submit", "-", "--max-retries", "101"],
        ["submit", "-", "--type", ""],
        ["submit", "-", "--type", "x" * 101],
        ["dead", "redrive"],
        ["dead", "redrive", "--limit", "5"],
        ["dead", "redrive", "--all", "--limit", "0"],
        ["dead", "redrive", "--all", "--rate", "0"],
        ["dead", "redrive", "a", "b", "--payload", "p.json"],
        ["dead", "redrive", "--all", "--payload", "p.json"],
        ["redrives", "--stop"],
        ["redrives", "--state", "dead"],
        ["redrives", "--limit", "0"],
        ["dead", "discard"],
        ["stats", "--every", "0"],
        ["stats", "--url", "localhost:8080"],
        ["stats", "--url", "http://"],
        ["stats", "--url", "http://a b"],
        ["stats", "--url", "http://a:99999"],
        ["stats", "--api-key", "two words"],
        ["demo", "--tasks", "0"],
        ["submit", "-", "--key", ""],
        ["submit", "-", "--key", "x" * 256],
        ["pause"],
        ["pause", ""],
        ["pause", "x" * 101],
        ["pause", "a", "--reason", "x" * 1001],
        ["resume", "a\x07b"],
        ["limit", "a"],
        ["limit", "a", "0"],
        ["limit", "a", "-1"],
        ["limit", "a", "1.5"],
        ["limit", "a", "all"],
        ["limit", "a", "100001"],
        ["limit", "a", "10000000000"],
        ["limit", "a", "--per-key", "0"],
        ["breaker", "a", "--failure-share", "0"],
        ["breaker", "a", "--failure-share", "nan"],
        ["breaker", "a", "--failure-share", "1.1"],
        ["breaker", "a", "--window", "0.5"],
        ["breaker", "a", "--minimum", "0"],
        ["breaker", "a", "--open", "0"],
        ["breaker", "a", "--probes", "1001"],
        ["breaker", "a", "--off", "--probes", "2"],
        ["types", "--ledger", "nowhere"],
        ["demo", "--failure-rate", "2"],
        ["redrives", "r", "--by", "ann"],
        ["redrives", "r", "--state", "running"],
        ["redrives", "r", "--limit", "5"],
        ["redrives", "r", "--all"],
        ["redrives", "r", "--cursor", "c"],
        ["redrives", "r", "--stop", "--state", "running"],
    ],
)
def test_wrong_usage_is_one_line_and_status_2(unlost: Command, words: list[str]) -> None:
    result = unlost(*words)
    assert result.status == 2
    assert result.complaint
    assert result.out == ""


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ("serve -- --port 9", "--port"),
        ("serve -- --port=9", "--port"),
        ("stats -- --json", "--json"),
        ("tasks --all -- --all", "--all"),
    ],
)
def test_what_looks_like_a_flag_behind_two_dashes_is_told_to_be_none(
    unlost: Command, words: str, flag: str
) -> None:
    result = unlost(*words.split())
    assert result.status == 2
    assert result.complaint == f"unlost: unexpected argument: {flag} (nothing after -- is a flag)"


@pytest.mark.parametrize("words", CLIENT_CALLS)
def test_no_service_is_one_line_and_status_1(unlost: Command, words: str) -> None:
    result = unlost(*words.split())
    assert result.status == 1
    assert "no service at http://127.0.0.1:9" in result.complaint
    assert result.out == ""


@pytest.mark.parametrize(
    "words",
    [
        "task a --json", "tasks --json", "tasks --all", "stats", "audit --json", "dead list",
        "dead show a", "dead groups", "dead redrive a", "dead redrive --all --yes",
        "dead discard a", "dead export", "types", "workers", "pause a", "resume a", "limit a 1",
        "breaker a", "redrives",
    ],
)  # fmt: skip
def test_every_command_works_as_a_process_of_its_own(
    client: Command, http: Http, words: str
) -> None:
    http.process(doomed("a"))
    result = client.fed(b"", *words.split())
    assert result.status == 0
    assert result.err == ""
    assert result.out


def test_only_a_level_with_commands_points_to_their_help(unlost: Command) -> None:
    for command in ("", *COMMANDS):
        text = unlost(*command.split(), "--help").out
        assert ("--help says more" in text) == (command in ("", "dead", "key")), command


def test_ids_are_named_as_such_in_the_usage(unlost: Command) -> None:
    for command, ids in (("redrive", "[ID...]"), ("discard", "ID...")):
        first = unlost("dead", command, "--help").out.splitlines()[0]
        assert first == f"Usage: unlost dead {command} [OPTIONS] {ids}"


def test_a_reader_that_goes_away_ends_the_command_quietly(client: Command, http: Http) -> None:
    http.process(ndjson(*({"taskId": f"t{n}", "payload": {}} for n in range(1_000))))
    with client.start("tasks", "--all", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(10) == 141


def test_an_output_that_cannot_be_written_is_one_line_and_status_1(client: Command) -> None:
    if not Path("/dev/full").exists():
        return
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "unlost", "stats"],
            env=client.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"unlost: ")
    assert ended.stderr.count(b"\n") == 1


def test_a_command_without_any_output_stream_still_works(client: Command) -> None:
    words = [sys.executable, "-m", "unlost", "stats"]
    script = ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *words]
    assert subprocess.run(script, env=client.environment(), check=False).returncode == 0


def test_a_text_that_the_terminal_cannot_show_is_escaped(client: Command, http: Http) -> None:
    http.process(ndjson({"taskId": "é€", "payload": {}}))
    result = client.fed(b"", "tasks", PYTHONIOENCODING="ascii")
    assert result.status == 0
    assert "\\xe9\\u20ac" in result.out


def test_ctrl_c_ends_a_client_command_with_status_130(client: Command) -> None:
    with client.start("stats", "--watch") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == b""


def test_a_bug_is_one_line_that_says_how_to_see_more() -> None:
    code = (
        "import sys, unlost.cli.app as tree\n"
        "from unlost.cli import main\n"
        "tree.app.command(lambda: 1 / 0, name='break')\n"
        "sys.argv = ['unlost', 'break']\n"
        "sys.exit(main())\n"
    )

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    quiet, loud = run(), run(UNLOST_DEBUG="1")
    assert quiet.returncode == loud.returncode == 1
    assert quiet.stderr.count("\n") == 1
    assert "UNLOST_DEBUG=1" in quiet.stderr
    assert "Traceback" in loud.stderr


def whole_numbers(tree: App, chain: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """Every flag of every command that takes one, and what reads it."""
    for name in tree:
        if name.startswith("-"):
            continue
        command = tree[name]
        if any(not one.startswith("-") for one in command):
            yield from whole_numbers(command, (*chain, name))
            continue
        for argument in command.assemble_argument_collection():
            kinds = {argument.hint, *get_args(argument.hint)}
            if int in kinds and not argument.parameter.count:
                yield " ".join((*chain, name, argument.name)), argument.parameter.converter


def test_no_flag_rounds_a_number_that_is_not_whole() -> None:
    found = dict(whole_numbers(app))
    assert {"schedule set --every", "tasks --limit", "demo --tasks"} < found.keys()
    assert {flag: reads for flag, reads in found.items() if reads is not whole} == {}
