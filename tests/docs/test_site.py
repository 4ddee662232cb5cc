"""The documentation site builds without a warning, and reading it asks no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT
from tests.stories.text import TOLD

LOADS = {"script": "src", "img": "src", "source": "src", "iframe": "src", "object": "data"}
LOADED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch"}
"""What `<link rel>` says where a browser asks for the address without a click."""


class Loaded(HTMLParser):
    """Collects the addresses that a browser asks for when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.classes.update(given.get("class", "").split())
        if tag in LOADS and LOADS[tag] in given:
            self.addresses.append(given[LOADS[tag]])
        if tag == "link" and LOADED_LINKS & set(given.get("rel", "").split()):
            self.addresses.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    words = ["mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", *words],
        check=False,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Text(HTMLParser):
    """Collects what a page says."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def parsed(text: str) -> Loaded:
    parser = Loaded()
    parser.feed(text)
    return parser


def test_every_page_is_in_the_site(site: Path) -> None:
    wanted = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    wanted = {Path("adr/index.html") if path.name == "README.html" else path for path in wanted}
    assert wanted <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_reading_it_asks_no_other_host(site: Path) -> None:
    pages = [page.read_text() for page in site.rglob("*.html")]
    addresses = [address for text in pages for address in parsed(text).addresses]
    assert addresses
    assert [one for one in addresses if re.match(r"(?:[a-z]+:)?//", one)] == []
    styles = "".join([*pages, *(path.read_text() for path in site.rglob("*.css"))])
    assert re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//[^)]*", styles) == []


def test_every_picture_is_drawn_already(site: Path) -> None:
    """The theme would fetch its own program from outside for a diagram that is not."""
    sources = sum(page.read_text().count("```mermaid") for page in DOCS.rglob("*.md"))
    pages = [page.read_text() for page in site.rglob("*.html")]
    assert sum(text.count('<div class="diagram"><svg') for text in pages) == sources > 0
    assert not any("mermaid" in parsed(text).classes for text in pages)


def test_every_story_is_told_as_it_is_played(site: Path) -> None:
    page = Text()
    page.feed((site / "guarantees.html").read_text())
    said = "".join(page.said)
    stories = {path.name: path.read_text().strip() for path in TOLD.glob("*.txt")}
    assert stories
    assert [name for name, story in stories.items() if story not in said] == []
