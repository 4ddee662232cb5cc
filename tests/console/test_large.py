"""A hundred thousand tasks: pages show no more, and take no longer, than with a few."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.console.conftest import APP, address_of
from tests.console.screen import Screen, screen_of
from tests.process.service import Service, service
from unlost.task import State

MOST_NODES = 3_000
MOST_BYTES = 600_000
MOST_SECONDS = 5.0
"""On a machine that is busy with other tests; alone each page takes a few tenths."""

ERRORS = 200
DEAD = 5_000
WAITING = 95_000
BATCH = 10_000


def lines(first: int, number: int) -> bytes:
    """A batch: the dead have one of many errors, the others wait for next century."""
    tasks = []
    for index in range(first, first + number):
        if index < DEAD:
            cause = "cause " + "ghijklmnop"[index % 10] * (1 + index % ERRORS // 10)
            payload = {"fails": cause, "customer": index % 7}
            tasks.append({"taskId": f"t-{index:06}", "type": "quick", "payload": payload})
        else:
            wait = {"runAt": "2100-01-01T00:00:00Z"}
            tasks.append({"taskId": f"t-{index:06}", "type": "quick", "payload": {}, **wait})
    return "\n".join(map(json.dumps, tasks)).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service with all of them."""
    folder = tmp_path_factory.mktemp("large")
    shutil.copy(APP, folder)
    async with service(folder, "serve", handler="console_app:handlers") as running:
        headers = {"Content-Type": "application/x-ndjson"}
        async with httpx.AsyncClient(base_url=address_of(running), timeout=60) as client:
            for first in range(0, DEAD + WAITING, BATCH):
                answer = await client.post(
                    "/tasks/batch", content=lines(first, BATCH), headers=headers
                )
                assert answer.json()["accepted"] == BATCH
        await settled(running)
        yield running


async def settled(running: Service) -> None:
    """Return once all that are to die have died."""
    async with asyncio.timeout(60):
        while (await running.ledger.counts()).states[State.DEAD] < DEAD:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


PAGES = {
    "": "100,000",
    "tasks": "t-099999",
    "tasks?idPrefix=t-0500": "t-050099",
    "tasks?state=dead": "t-004999",
    "task/t-000000": "Why it died",
    "dead": "5,000 dead letters of 200 errors",
}
"""What each page shows once it is there."""


async def test_each_page_is_quick_and_small(browser: Browser, large: Service) -> None:
    async with screen_of(browser, address_of(large)) as screen:
        for place, shows in PAGES.items():
            await screen.page.evaluate("performance.clearResourceTimings()")
            began = time.monotonic()
            await screen.open(place)
            await screen.sees(shows)
            took = time.monotonic() - began

            assert took < MOST_SECONDS, place
            assert await cost(screen) == [], place


async def cost(screen: Screen) -> list[str]:
    """What of the page is more than it may be."""
    nodes = await screen.page.evaluate("document.querySelectorAll('*').length")
    sizes = await screen.page.evaluate(
        "performance.getEntriesByType('resource').map((one) => [one.name, one.decodedBodySize])"
    )
    found = [f"{name}: {size}" for name, size in sizes if size > MOST_BYTES / 2]
    total = sum(size for _, size in sizes)
    if total > MOST_BYTES:
        found.append(f"{total} bytes in all")
    if nodes > MOST_NODES:
        found.append(f"{nodes} elements")
    return found


async def test_a_redrive_of_one_error_among_many_takes_only_its_own(
    browser: Browser, large: Service
) -> None:
    async with screen_of(browser, address_of(large)) as screen:
        await screen.open("dead", "Dead letters")
        await screen.page.locator(".groups a").first.click()
        await expect(screen.page.locator("#group-count")).to_have_text("25")
        await screen.sees("For whom, in the newest 25")

        await screen.page.locator("#redrive-group").click()
        await screen.button("Redrive 1 as canary, then 24").click()

        await expect(screen.page.locator("#redrive-text")).to_contain_text("1 died again")
    assert (await large.ledger.counts()).states[State.DEAD] == DEAD
