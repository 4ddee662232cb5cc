"""A page of the console, and what every test asks of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from playwright.async_api import Browser, Locator, Page, expect

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
ALL = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"runOnly": ["color-contrast"]}
WITHIN = 30_000
"""Milliseconds within which a page shows what it is to show, on a machine that is busy."""

expect.set_options(timeout=WITHIN)


class Screen:
    """A page at a service's address.  `complaints` has what went wrong in it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address.rstrip("/")
        self.complaints: list[str] = []
        self.received = 0
        page.set_default_timeout(WITHIN)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def open(self, place: str = "", heading: str | None = None) -> None:
        """Go to a place, `tasks?state=dead`, and wait for its heading."""
        await self.page.goto(f"{self.address}/#/{place}")
        if heading is not None:
            await expect(self.page.locator("h1")).to_contain_text(heading)

    def text(self, text: str) -> Locator:
        return self.page.get_by_text(text)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name)

    async def sees(self, *texts: str) -> None:
        """Each text comes to be on the page."""
        for text in texts:
            await expect(self.page.locator("body")).to_contain_text(text)

    async def module(self, name: str, script: str, given: Any = None) -> Any:
        """What `script`, a function of a module of the console and of `given`, gives."""
        call = f"async ([name, given]) => ({script})(await import(name), given)"
        return await self.page.evaluate(call, [f"/console/{name}", given])

    def only_over_http(self) -> None:
        """Pass over what the browser always says of a page that came over plain http by a name."""
        self.complaints = [one for one in self.complaints if "Opener-Policy" not in one]

    async def width(self) -> int:
        """How wide the page's content is."""
        return int(await self.page.evaluate("document.documentElement.scrollWidth"))

    async def accessibility(self, rules: dict[str, Any] = ALL) -> list[str]:
        """What axe-core finds wrong by these rules: which, and where."""
        await self.page.evaluate(AXE)
        found = await self.page.evaluate(f"axe.run(document, {json.dumps(rules)})")
        return [
            f"{rule['id']}: {node['html']} {node['failureSummary']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]


@asynccontextmanager
async def screen_of(browser: Browser, address: str, **settings: Any) -> AsyncIterator[Screen]:
    """A page in a context of its own; it must say nothing to the browser's console."""
    context = await browser.new_context(**settings)
    try:
        screen = Screen(await context.new_page(), address)
        yield screen
        assert screen.complaints == [], screen.complaints
    finally:
        await context.close()
