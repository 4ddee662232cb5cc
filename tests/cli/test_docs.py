"""docs/cli.md knows every command and flag, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from cyclopts import App

from unlost.cli.app import app
from unlost.settings import PLATFORM, Settings, flag, variable

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SECTIONS = {
    part.splitlines()[0].lstrip("# "): part for part in re.split(r"(?m)^(?=##+ )", TEXT)[1:]
}
BUILT_IN = {"--help", "-h", "--version"}


def commands(tree: App, path: tuple[str, ...] = ("unlost",)) -> Iterator[tuple[str, App]]:
    for name, part in tree.resolved_commands().items():
        if name not in BUILT_IN:
            yield " ".join((*path, name)), part
            yield from commands(part, (*path, name))


def flags_of(part: App) -> set[str]:
    if part.default_command is None:
        return set()
    arguments = part.assemble_argument_collection()
    return {name for argument in arguments for name in argument.names if name.startswith("--")}


COMMANDS = dict(commands(app))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_its_flags_are_described(command: str) -> None:
    section = SECTIONS[command]
    shared = SECTIONS["Talking to a service"]
    if "[settings](#settings)" in section:
        shared += SECTIONS["Settings"]
    for name in flags_of(COMMANDS[command]):
        assert f"`{name}`" in section + shared, name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_reads_or_acts_can_answer_in_json(command: str) -> None:
    logs_in_json = {"unlost serve", "unlost api", "unlost worker", "unlost outbox relay"}
    writes_json_lines = {"unlost dead export"}
    only_others = {
        "unlost dead",
        "unlost outbox",
        "unlost key",
        "unlost schedule",
    }  # they show their commands, or ask a person
    if command not in logs_in_json | writes_json_lines | only_others:
        assert "--json" in flags_of(COMMANDS[command])


def test_no_flag_is_described_that_does_not_exist() -> None:
    known = {name for part in COMMANDS.values() for name in flags_of(part)} | BUILT_IN
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", TEXT)) - {"--odd-id"} <= known


def test_every_setting_is_described_as_it_is() -> None:
    rows = {row.split("|")[1].strip(): row for row in SECTIONS["Settings"].splitlines()[5:] if row}
    for item in fields(Settings):
        _, _, variables, default, meaning, _ = rows[f"`{flag(item.name)}`"].split("|")
        names = [variable(item.name), *filter(None, [PLATFORM.get(item.name)])]
        assert variables.strip() == ", ".join(f"`{name}`" for name in names)
        assert meaning.strip() == item.metadata["meaning"]
        if item.name != "workers":  # its default depends on the machine
            assert default.strip(" `") == ("" if item.default in (None, ()) else str(item.default))


def test_every_link_leads_somewhere() -> None:
    places = {name.lower().replace(" ", "-") for name in SECTIONS}
    assert set(re.findall(r"\(#([a-z-]+)\)", TEXT)) <= places
