"""The console through a real nginx: below a path or not, over TLS or not, with keys and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.console.screen import screen_of
from tests.proxies.nginx import BELOW_A_PATH, OWN_NAME, STRIPPED, Front, behind_nginx
from unlost.access.keys import Key, KeyScope, Secret, digest
from unlost.task import Event, Record, State, Submission


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


@pytest.mark.parametrize(
    ("servers", "root"), [(OWN_NAME, ""), (STRIPPED, "/unlost")], ids=["TLS", "path taken away"]
)
async def test_with_keys_it_works_through_it_too(
    browser: Browser, tmp_path: Path, servers: str, root: str
) -> None:
    """The key is asked for once, and comes through with each call: also with the stream's."""
    keys = [
        Key(name, frozenset(scopes), 0, (Secret(digest(name)),))
        for name, scopes in (("operator", set(KeyScope)), ("reader", {KeyScope.READ}))
    ]
    async with behind_nginx(tmp_path, servers, keys, root_path=root, auth="keys") as front:
        await front.ledger.submit([Submission("a-task", "{}", b"1")])
        async with screen_of(browser, front.url + root, ignore_https_errors=True) as screen:
            await screen.open(heading="Overview")
            dialog = screen.page.get_by_role("dialog")
            for key, then in (("guess", "this key is not known here"), ("reader", None)):
                await dialog.get_by_label("API key").fill(key)
                await screen.button("Use this key").click()
                if then is not None:
                    await expect(dialog).to_contain_text(then)
            await screen.sees("It adds up: nothing is lost.")
            await expect(screen.page.locator("#live")).to_have_text("Live")

            await screen.open("task/a-task", "a-task")
            await screen.button("Cancel").click()
            await screen.button("Cancel the task").click()
            await screen.sees("this key has not the scope operate")
            assert (await record(front)).state is State.QUEUED

            await screen.page.evaluate("sessionStorage.setItem('unlost.key', 'operator')")
            await screen.page.reload()
            await screen.button("Cancel").click()
            await screen.button("Cancel the task").click()
            await screen.sees("Cancelled")
            (act,) = (await record(front)).history
            assert (act.event, act.api_key) == (Event.CANCEL, "operator")

            await screen.button("Forget key").click()
            await expect(dialog).to_contain_text("An API key is needed")
            assert all("401" in said or "403" in said for said in screen.complaints)
            screen.complaints.clear()


async def record(front: Front) -> Record:
    found = await front.ledger.get("a-task")
    assert found is not None
    return found
