"""Pages of other origins in a real Chromium: they submit, change and read nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.elsewhere import Target, pages, target
from tests.console.screen import screen_of
from tests.process.service import until

HOSTS = {"another site": "evil.example", "another port": "127.0.0.1", "a secure one": "localhost"}

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/tasks", {"method": "POST", "body": '{"taskId": "x", "payload": {}}'}),
    ("/tasks/batch", {"method": "POST", "body": '{"tasks": [{"taskId": "x", "payload": {}}]}'}),
    ("/tasks/waiting/cancel", {"method": "POST"}),
    ("/types/default/pause", {"method": "POST"}),
    ("/types/default", {"method": "PATCH", "body": '{"limit": 1}'}),
    ("/dead-letters/waiting", {"method": "DELETE"}),
    ("/tasks?include=payload", {"method": "GET"}),
]
WAYS: list[dict[str, Any]] = [
    {"mode": "no-cors"},
    {"mode": "cors"},
    {"mode": "cors", "headers": {"Content-Type": "application/json"}},
    {"mode": "no-cors", "credentials": "include", "keepalive": True},
    {"mode": "no-cors", "referrerPolicy": "no-referrer"},
]
TRY = """async ([calls, ways]) => {
  const read = [];
  for (const [url, call] of calls) for (const way of ways) {
    try {
      const answer = await fetch(url, {...call, ...way});
      if (answer.type !== "opaque") read.push(`${url} ${answer.status}`);
    } catch {}
  }
  return read;
}"""
FOLLOW = """(url) => new Promise((heard) => {
  const source = new EventSource(url);
  source.onopen = () => heard("open");
  source.onerror = () => heard("error");
})"""
BEACON = '(url) => navigator.sendBeacon(url, new Blob([\'{"taskId":"b","payload":{}}\']))'


@asynccontextmanager
async def page_at(browser: Browser, host: str) -> AsyncIterator[Page]:
    """A page of another origin."""
    async with pages() as port:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"http://{host}:{port}/")
        yield page
        await context.close()


def aimed(aim: Target) -> list[list[Any]]:
    return [[aim.url + path, call] for path, call in CALLS]


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_scripts_of_another_origin_do_nothing_and_read_nothing(
    browser: Browser, host: str
) -> None:
    async with target() as aim, page_at(browser, host) as page:
        assert await page.evaluate(TRY, [aimed(aim), WAYS]) == []
        assert await page.evaluate(BEACON, f"{aim.url}/tasks")
        assert await page.evaluate(FOLLOW, f"{aim.url}/events") == "error"
        assert await aim.is_untouched()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_form_submits_nothing(browser: Browser, kind: str) -> None:
    form = """([url, kind]) => {
      const form = document.createElement("form");
      Object.assign(form, {method: "POST", action: url, enctype: kind});
      const field = document.createElement("input");
      Object.assign(field, {name: '{"taskId":"f","payload":{"a":"', value: '"}}'});
      form.append(field); document.body.append(form); form.submit();
    }"""
    async with target() as aim, page_at(browser, "evil.example") as page:
        async with page.expect_navigation() as led:
            await page.evaluate(form, [f"{aim.url}/tasks", kind])
        answer = await led.value
        assert answer is not None
        assert answer.status == 403
        assert await aim.is_untouched()


async def test_a_frame_shows_nothing_and_a_link_leads_to_the_console(browser: Browser) -> None:
    embed = """(url) => {
      for (const [tag, name] of [["iframe", "src"], ["img", "src"], ["script", "src"]]) {
        const element = document.createElement(tag);
        element[name] = url; document.body.append(element);
      }
    }"""
    link = """(url) => {
      const link = document.createElement("a");
      Object.assign(link, {href: url, textContent: "go"});
      document.body.append(link);
    }"""
    async with target() as aim, page_at(browser, "evil.example") as page:
        answers: list[int] = []
        blocked: list[str] = []
        page.on("response", lambda answer: answers.append(answer.status))
        page.on("requestfailed", lambda request: blocked.append(request.url))
        await page.evaluate(embed, f"{aim.url}/")
        await until(lambda: len(answers) + len(blocked) >= 3)
        assert set(answers) == {403}
        await page.evaluate(link, f"{aim.url}/")
        await page.get_by_text("go").click()
        await expect(page.locator("body")).to_contain_text("It adds up: nothing is lost.")
        assert await aim.is_untouched()


async def test_a_service_worker_of_another_origin_does_nothing(browser: Browser) -> None:
    ask = """async (calls) => {
      await navigator.serviceWorker.register("/worker.js");
      const {active} = await navigator.serviceWorker.ready;
      const heard = [];
      for (const call of calls) {
        const {port1, port2} = new MessageChannel();
        const answer = new Promise((hear) => { port1.onmessage = ({data}) => hear(data); });
        active.postMessage(call, [port2]);
        heard.push(await answer);
      }
      return heard;
    }"""
    async with target() as aim, page_at(browser, "localhost") as page:
        calls = [[url, {**call, "mode": "no-cors"}] for url, call in aimed(aim)]
        heard = await page.evaluate(ask, calls)
        assert set(heard) == {"opaque", "none"}  # PATCH and DELETE need mode cors
        assert await aim.is_untouched()


async def test_a_name_that_was_pointed_here_reads_and_does_nothing(browser: Browser) -> None:
    """The page is of the very origin that the service then seems to be of."""
    context = await browser.new_context()
    page = await context.new_page()
    async with pages() as port:
        rebound = f"http://rebound.example:{port}"
        await page.goto(rebound)
    async with target(port) as aim:
        read = await page.evaluate(TRY, [[[rebound + path, call] for path, call in CALLS], WAYS])
        assert {one.rpartition(" ")[2] for one in read} == {"421"}
        assert await aim.is_untouched()
    await context.close()


async def test_the_console_works_over_plain_http_by_a_name_that_is_allowed(
    browser: Browser,
) -> None:
    async with (
        target(allowed_host=("jobs.example",)) as aim,
        screen_of(browser, f"http://jobs.example:{aim.port}") as screen,
    ):
        await screen.open("task/waiting", "waiting")
        await screen.button("Cancel").click()
        await screen.button("Cancel the task").click()
        await screen.sees("Cancelled")
        assert not await aim.is_untouched()
        screen.only_over_http()


async def test_pages_of_an_allowed_origin_may_call_and_read_what_the_contract_says(
    browser: Browser,
) -> None:
    call = """async (url) => {
      const sent = {method: "POST", body: '{"taskId": "x", "payload": {}}', credentials: "omit",
                    headers: {"Content-Type": "application/json", "Authorization": "Bearer x"}};
      const answer = await fetch(`${url}/tasks`, sent);
      const again = await fetch(`${url}/tasks`, sent);
      const refused = await fetch(`${url}/tasks/nobody`);
      const source = new EventSource(`${url}/events`);
      await new Promise((hear, fail) => { source.onopen = hear; source.onerror = fail; });
      source.close();
      return [answer.status, answer.headers.get("Location"),
              again.headers.get("Idempotent-Replayed"), (await refused.json()).status];
    }"""
    async with pages() as port:
        origin = f"http://app.example:{port}"
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(origin)
        async with target(cors_origin=(origin,)) as aim:
            assert await page.evaluate(call, aim.url) == [202, "/tasks/x", "true", 404]
        await context.close()
