"""One browser for all tests of the console, and services that are started once for many tests."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.console.screen import Screen, screen_of
from tests.process.service import Service, service

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APP = Path(__file__).parent / "console_app.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser lives in one event loop, so all tests with it must run there."""
    for item in items:
        if "tests/console/" in item.nodeid:
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
        browser = await tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A whole service with the handlers of `console_app`; what a test submits stays in it."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(APP, folder)
    async with service(folder, "serve", handler="console_app:handlers") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def screen(browser: Browser, shop: Service) -> AsyncIterator[Screen]:
    """A fresh page; whatever it says to the browser's console fails the test."""
    async with screen_of(browser, address_of(shop)) as screen:
        yield screen


def address_of(running: Service) -> str:
    """Where it listens."""
    return running.ready.split()[-1]
