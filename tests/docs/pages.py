"""The documentation as tests read it: its pages, and the blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md")),
    *sorted(DOCS.rglob("*.md")),
    *sorted(ROOT.glob("clients/*/README.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]

_BLOCK = r"^( *)```{language}\n(.*?)^ *```"


def blocks(page: Path, language: str) -> list[str]:
    """What stands in the page's code blocks of a language."""
    found = re.findall(_BLOCK.format(language=language), page.read_text(), re.DOTALL | re.MULTILINE)
    return [text for _, text in found]


def without_blocks(page: Path) -> str:
    """The page's text without its code blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def typed(page: Path) -> list[tuple[str, str]]:
    """The commands of a page's console blocks, each with what the page shows below it."""
    text = "".join(blocks(page, "console")).replace("\\\n", " ")
    return re.findall(r"^ *\$ (.*)\n((?:(?! *\$ ).*\n)*)", text, re.MULTILINE)


def calls(page: Path) -> Iterator[str]:
    """Where a page types `unlost …` or names it in `code`: what stands behind that word."""
    lines = [
        *(command for command, _ in typed(page)),
        *(line for block in blocks(page, "sh") for line in block.splitlines()),
        *re.findall(r"`([^`]+)`", without_blocks(page)),
    ]
    for line in lines:
        for part in re.split(r"[|&;]", line):
            call = re.match(r"\s*(?:\S*/)?unlost ([a-z].*)", part.partition(" #")[0], re.DOTALL)
            if call:
                yield call[1]
