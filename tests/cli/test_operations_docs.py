"""docs/operations.md names what there is, and its backup of SQLite is one."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.ledgers import furnish, kept, opened

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXT = (DOCS / "operations.md").read_text()
SOURCE = "".join(file.read_text() for file in (ROOT / "src").rglob("*.py"))

EVENTS = [
    name
    for row in TEXT.split("| event | means |")[1].split("\n\n")[0].splitlines()[2:]
    for name in re.findall(r"`([a-z]+\.[a-z_]+)`", row.split("|")[1])
]


def anchors(text: str) -> set[str]:
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_exists(name: str) -> None:
    assert f'"{name}"' in SOURCE


@pytest.mark.parametrize(
    "link", sorted(set(re.findall(r"\]\((?!https:)([^)]+)\)", TEXT.replace("\n", " "))))
)
def test_every_link_leads_somewhere(link: str) -> None:
    name, _, anchor = link.partition("#")
    text = (DOCS / name).read_text() if name else TEXT
    assert not anchor or anchor in anchors(text)


def test_a_backup_beside_the_service_is_a_whole_ledger(unlost: Command, tmp_path: Path) -> None:
    (command,) = re.findall(r'python -c "(import apsw; .*?VACUUM INTO.*?)" &&', TEXT)
    url = f"sqlite:///{tmp_path}/unlost.db"
    asyncio.run(furnish(url))
    asyncio.run(_backed_up(url, command.replace(r"\"", '"'), tmp_path))
    assert unlost("audit", "--ledger", "sqlite:///backup.db").status == 0
    assert kept(f"sqlite:///{tmp_path}/backup.db") == kept(url)


async def _backed_up(url: str, command: str, folder: Path) -> None:
    async with opened(url):
        subprocess.run([sys.executable, "-c", command], cwd=folder, check=True, timeout=60)
