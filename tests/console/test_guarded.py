"""Where keys are needed, and where the home offers less: the app itself on a real port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.console.screen import screen_of
from unlost.access.keys import Key, KeyScope, Secret, digest
from unlost.api.app import create_app
from unlost.api.frame import Frame
from unlost.api.server import serve
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings
from unlost.task import Submission

INSTEAD = {
    "/events": "GET /tasks/{taskId}?wait=25",
    "/metrics": "CloudWatch",
    "/audit": "a command",
}


KEYS = [
    Key(name, frozenset(scopes), 0, (Secret(digest(name)),))
    for name, scopes in (("reader", {KeyScope.READ}), ("operator", set(KeyScope)))
]
"""Two keys: one may read, one may do all."""


@asynccontextmanager
async def served(*, auth: str, frame: Frame) -> AsyncIterator[tuple[str, MemoryLedger]]:
    listener = socket.create_server(("127.0.0.1", 0))
    ready, stop = asyncio.Event(), asyncio.Event()
    ledger = MemoryLedger(wall_clock)
    for key in KEYS:
        await ledger.add_key(key)
    app = create_app(ledger, Settings(auth=auth), frame=frame)
    running = asyncio.create_task(serve(app, listener, ready.set, stop))
    await asyncio.wait_for(ready.wait(), 10)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", ledger
    stop.set()
    await asyncio.wait_for(running, 10)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded() -> AsyncIterator[str]:
    """A service that wants keys, with one dead-lettered task to be."""
    async with served(auth="keys", frame=Frame()) as (address, ledger):
        await ledger.submit([Submission("waiting", "{}", b"1")])
        yield address


async def test_it_asks_for_the_key_once_and_keeps_it_in_the_tab(
    browser: Browser, guarded: str
) -> None:
    async with screen_of(browser, guarded) as screen:
        await screen.open(heading="Overview")
        dialog = screen.page.get_by_role("dialog")
        await expect(dialog).to_contain_text("An API key is needed")
        await dialog.get_by_label("API key").fill("guess")
        await screen.button("Use this key").click()
        await expect(dialog).to_contain_text("this key is not known here")
        await dialog.get_by_label("API key").fill("operator")
        await screen.button("Use this key").click()

        await screen.sees("It adds up: nothing is lost.")
        await expect(screen.page.locator("#live")).to_have_text("Live")
        await expect(dialog).to_have_count(0)
        assert await screen.page.evaluate("sessionStorage.getItem('unlost.key')") == "operator"
        assert await screen.page.evaluate("localStorage.getItem('unlost.key')") is None
        assert all("401" in said for said in screen.complaints)
        screen.complaints.clear()
        await screen.page.reload()
        await screen.sees("It adds up: nothing is lost.")
        await screen.button("Forget key").click()
        await expect(dialog).to_contain_text("An API key is needed")
        await screen.page.keyboard.press("Escape")
        await expect(screen.page.get_by_role("alert")).to_contain_text("an API key is needed")
        await expect(dialog).to_have_count(0)
        screen.complaints.clear()


async def test_a_key_that_may_only_read_is_told_so(browser: Browser, guarded: str) -> None:
    async with screen_of(browser, guarded) as screen:
        await screen.page.add_init_script("sessionStorage.setItem('unlost.key', 'reader')")
        await screen.open("task/waiting", "waiting")
        await screen.button("Cancel").click()
        await screen.button("Cancel the task").click()

        await screen.sees("this key has not the scope operate")
        assert [said for said in screen.complaints if "403" not in said] == []
        screen.complaints.clear()


async def test_where_a_home_offers_less_the_page_says_so_and_asks_for_nothing_in_vain(
    browser: Browser,
) -> None:
    async with (
        served(auth="none", frame=Frame(instead=INSTEAD)) as (address, ledger),
        screen_of(browser, address) as screen,
    ):
        await screen.open(heading="Overview")
        await expect(screen.page.locator("#live")).to_have_text("Polling")
        await screen.sees("This home has no /metrics", "It adds up: nothing is lost.")

        await ledger.submit([Submission("new", "{}", b"1")])

        await expect(screen.page.locator(".term b").first).to_have_text("1")
        await screen.open("task/new", "new")
        await screen.button("Cancel").click()
        await screen.button("Cancel the task").click()
        await screen.sees("Cancelled")


WORKERS = {"workers": [
    {"id": "worker-1", "types": ["mail", "pay"], "alone": False,
     "leaseUntil": "2100-01-01T00:00:00Z",
     "running": [{"taskId": "t<1>", "type": "mail", "attempt": 2,
                  "startedAt": "2026-01-01T00:00:00Z"}], "runningCount": 30},
    {"id": "worker-2", "types": [], "alone": False, "starting": True,
     "leaseUntil": "2100-01-01T00:00:00Z", "running": [], "runningCount": 0},
]}  # fmt: skip
TYPES = {"types": [
    {"type": "mail", "pause": {"at": "2026-01-01T00:00:00Z", "by": "Ada", "reason": None},
     "limit": None, "keyLimit": None, "breaker": None, "circuit": None, "circuitSince": None,
     "opensUntil": None},
]}  # fmt: skip


async def test_workers_and_controls_are_shown_where_a_service_tells_them(
    browser: Browser,
) -> None:
    """The answers are made up here, after the API's description."""
    described: dict[str, Any] = {"get": {"responses": {"200": {}}}}
    paths = dict.fromkeys(("/events", "/metrics", "/workers", "/types"), described)
    answers = {"/openapi.json": {"paths": paths}, "/workers": WORKERS, "/types": TYPES}
    async with (
        served(auth="none", frame=Frame()) as (address, _),
        screen_of(browser, address) as screen,
    ):
        for path, answer in answers.items():
            await screen.page.route(f"**{path}", lambda route, _, a=answer: route.fulfill(json=a))
        await screen.open(heading="Overview")

        await screen.sees("worker-1 takes mail, pay, 30 running", "t<1> mail, attempt 2")
        await screen.sees("worker-2 is starting")
        await screen.sees("and 29 more", "mail is paused by Ada, since")
