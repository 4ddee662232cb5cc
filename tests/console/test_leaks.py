"""No page of the console shows a marked secret, and the key is in the tab's session alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.console.conftest import address_of
from tests.console.screen import Screen, screen_of
from tests.process.marked import HOOK, KEY, PAYLOAD, SIGNING, clean, told
from tests.process.service import Service, service
from unlost.ledger.values import Query
from unlost.task import WEBHOOK_TYPE
from unlost.telemetry.redaction import MASK

KEPT = """() => JSON.stringify({
  fields: [...document.querySelectorAll("input, textarea")].map((one) => one.value),
  local: {...localStorage}, cookies: document.cookie, state: history.state, url: location.href,
  titles: [...document.querySelectorAll("[title]")].map((one) => one.title),
})"""
"""What a page holds beside its text."""


@pytest_asyncio.fixture(loop_scope="session")
async def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A service with keys and webhooks, in which secrets have run, died, and not been delivered."""
    monkeypatch.setenv("UNLOST_WEBHOOK_SECRET", f"whsec_{SIGNING}")
    monkeypatch.setenv("UNLOST_WEBHOOK_URL", f"http://127.0.0.1:9/{HOOK}")
    (tmp_path / "key").write_text(KEY)
    scopes = ("--scope", "submit,read,operate", "--secret-file", "key")
    here = ("--ledger", f"sqlite:///{tmp_path}/ledger.db")
    told(tmp_path, "key", "create", *here, "--name", "console", *scopes)
    async with service(
        tmp_path, "serve", handler="process_app:handlers", auth="keys", redact="/card/number",
        max_retries=0, webhook_allow_private=True,
    ) as running:  # fmt: skip
        for task_id, fails in (("good", False), ("bad", True)):
            payload = json.dumps({"card": {"number": PAYLOAD}, "fails": fails})
            await running.submit(task_id, type="charges", payload=payload)
            await running.ended(task_id)
        yield running


async def must_be_clean(screen: Screen, where: str) -> None:
    clean(await screen.page.content(), where)
    clean(await screen.page.evaluate(KEPT), f"what {where} keeps")


async def test_no_page_shows_a_secret(browser: Browser, marked: Service) -> None:
    delivery = (await marked.ledger.page(Query(type=WEBHOOK_TYPE))).records[0].task_id
    urls: list[str] = []
    async with screen_of(browser, address_of(marked)) as screen:
        screen.page.on("request", lambda request: urls.append(request.url))
        await screen.open(heading="Overview")
        dialog = screen.page.get_by_role("dialog")
        await dialog.get_by_label("API key").fill(KEY)
        await screen.button("Use this key").click()
        await expect(dialog).to_have_count(0)
        for place, heading, shows in (
            ("", "Overview", "It adds up: nothing is lost."),
            ("tasks", "Tasks", "good"),
            ("task/good", "good", MASK),
            ("task/bad", "bad", MASK),
            (f"task/{delivery}", delivery, WEBHOOK_TYPE),
            ("dead", "Dead letters", "RuntimeError"),
            ("dead/letter/bad", "bad", MASK),
        ):
            await screen.open(place, heading)
            await screen.sees(shows)
            await must_be_clean(screen, place or "overview")
        session = await screen.page.evaluate("({...sessionStorage})")
        assert [name for name, value in session.items() if KEY in value] == ["unlost.key"]
        clean("".join(screen.complaints), "the browser's console")
        screen.complaints.clear()
    clean("\n".join(urls), "the addresses that were asked for")
