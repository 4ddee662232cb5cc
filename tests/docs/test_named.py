"""What the pages name is there: commands, flags, files, and what links lead to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cyclopts import App

from tests.cli.test_docs import flags_of
from tests.docs.pages import PAGES, ROOT, calls, without_blocks
from unlost.cli.app import app

EVERYWHERE = {"--help", "--version"}
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def called(words: list[str]) -> App:
    """The command that these words call; a group, where none of it is named."""
    command = app
    for word in words:
        under = command.resolved_commands()
        if command is not app and set(under) <= {*EVERYWHERE, "-h"}:
            break
        if not word[0].islower():
            break
        assert word in under, " ".join(words)
        command = under[word]
    return command


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_and_flag_exists(page: Path) -> None:
    for call in calls(page):
        command = called(call.split())
        flags = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", call.partition(" -- ")[0]))
        assert flags <= flags_of(command) | EVERYWHERE, call


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    code = " ".join(re.findall(r"`([^`]+)`", without_blocks(page)))
    for path in re.findall(r"(?<!\S)(?:tests|deploy|docs|bench|src)/[\w./-]+", code):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
