"""One browser for all tests of the console, and services that are started once for many tests."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.console.screen import Screen
from tests.process.service import Service, service

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APP = Path(__file__).parent / "console_app.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser lives in one event loop, so all tests with it must run there."""
    for item in items:
        if item.nodeid.startswith("tests/console/"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program, which `make test` installs."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found is not None, f"no browser on the path: one of {', '.join(NAMES)}"
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A headless Chromium.  It visits 127.0.0.1 alone, so it may do without its sandbox."""
    async with async_playwright() as tools:
        # Names of which nobody has any all lead to this machine, as after DNS rebinding.
        rules = "--host-resolver-rules=MAP *.example 127.0.0.1"
        browser = await tools.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", rules]
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A whole service with the handlers of `console_app`; what a test submits stays in it."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(APP, folder)
    async with service(folder, "serve", handler="console_app:handlers") as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """What fresh pages share, so that each need not load the console's files anew."""
    context = await browser.new_context(reduced_motion="reduce")
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def screen(context: BrowserContext, shop: Service) -> AsyncIterator[Screen]:
    """A fresh page; whatever it says to the browser's console fails the test."""
    page = await context.new_page()
    screen = Screen(page, address_of(shop))
    yield screen
    await page.evaluate("localStorage.clear()")
    await page.close()
    assert screen.complaints == [], screen.complaints


def address_of(running: Service) -> str:
    """Where it listens."""
    return running.ready.split()[-1]
