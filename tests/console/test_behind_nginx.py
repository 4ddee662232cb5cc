"""The console through a real nginx: below a path, taken away in front or not, and over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.console.screen import screen_of
from tests.proxies.nginx import BELOW_A_PATH, OWN_NAME, STRIPPED, behind_nginx
from unlost.task import Submission


@pytest.mark.parametrize(
    ("servers", "host", "root"),
    [
        (OWN_NAME, "127.0.0.1", ""),
        (BELOW_A_PATH, "127.0.0.1", "/unlost"),
        (STRIPPED, "127.0.0.1", "/unlost"),
        (BELOW_A_PATH, "jobs.example", "/unlost"),
    ],
    ids=["TLS", "below a path", "path taken away", "plain http, by name"],
)
async def test_the_console_works_through_it(
    browser: Browser, tmp_path: Path, servers: str, host: str, root: str
) -> None:
    names = ("jobs.example",)
    async with behind_nginx(tmp_path, servers, root_path=root, allowed_host=names) as front:
        await front.ledger.submit([Submission("a-task", "{}", b"1")])
        address = front.url.replace("127.0.0.1", host) + root
        async with screen_of(browser, address, ignore_https_errors=True) as screen:
            await screen.open(heading="Overview")
            await screen.sees("It adds up: nothing is lost.")
            await expect(screen.page.locator("#live")).to_have_text("Live")
            await screen.open("task/a-task", "a-task")
            await screen.button("Cancel").click()
            await screen.button("Cancel the task").click()
            await screen.sees("Cancelled")
            await screen.link("API").click()
            await expect(screen.page.locator("h1")).to_have_text("unlost: the API")
            await expect(screen.link("openapi.json")).to_have_attribute("href", "openapi.json")
            screen.only_over_http()
