"""What `mkdocs.yml` asks for beyond mkdocs: pictures, stories, and links that leave the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mmdr
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
STORY = re.compile(r"^\[([^\]]+)\]\(\.\./(tests/stories/told/[^)]+)\)$", re.MULTILINE)
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)#]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Mermaid becomes SVG while the site is built, so that a page needs no script for it."""
    fence = {"name": "mermaid", "class": "diagram", "format": picture}
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [fence]}
    return config


def picture(source: str, language: str, css_class: str, options: Any, md: Any, **_: Any) -> str:
    """The diagram as HTML.  Raises PluginError if it cannot be drawn."""
    try:
        svg = mmdr.render(source).svg()
    except ValueError as error:
        raise PluginError(f"a diagram cannot be drawn: {error}\n{source}") from error
    return f'<div class="{css_class}">{svg}</div>'


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A link that stands alone and leads to a story becomes the story; one to another file of the
    repository that is no page names the file instead."""
    folder = Path(config.docs_dir, page.file.src_uri).parent

    def named(link: re.Match[str]) -> str:
        text, target = link[1], link[0].rpartition("](")[2].rstrip(")")
        path = (folder / target).resolve()
        if path.is_relative_to(config.docs_dir):
            return link[0]
        if not path.exists():
            raise PluginError(f"{page.file.src_uri} links to {target}, which is not there")
        name = f"`{path.relative_to(ROOT)}`"
        return name if text.strip("`") == path.name else f"{text} ({name})"

    return OUTSIDE.sub(named, STORY.sub(told, markdown))


def told(link: re.Match[str]) -> str:
    """A story, to be unfolded.  Raises PluginError if it is not there."""
    title, name = link.groups()
    try:
        story = ROOT.joinpath(name).read_text()
    except OSError as error:
        raise PluginError(f"a story cannot be read: {error}") from error
    summary = f'<details class="story" markdown="1"><summary>{title}</summary>'
    return f"{summary}\n\n```text\n{story}```\n\n</details>"
