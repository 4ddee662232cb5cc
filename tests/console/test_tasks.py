"""The list of tasks, and the page of one."""

from __future__ import annotations

import json
import re

from playwright.async_api import expect

from tests.console.screen import Screen
from tests.process.service import Service

NASTY = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
EXACT = (
    '{"z":1,"10":[],"2":{},"big":9007199254740993,"long":0.10000000000000000000000001,"e":1E400}'
)


async def test_filters_choose_by_state_type_and_id_and_stay_in_the_address(
    screen: Screen, shop: Service
) -> None:
    await shop.submit("filter-a", "filter-b", type="quick")
    await shop.submit("filter-c", type="quick", payload='{"fails":"on purpose"}')
    await shop.submit("other", type="quick")
    await shop.ended("filter-c")
    await screen.open("tasks", "Tasks")

    await screen.page.get_by_label("Id begins with").fill("filter-")
    await screen.page.get_by_label("Type").fill("quick")
    await screen.page.get_by_label("State").select_option("dead")

    rows = screen.page.locator("tr[data-task]")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("filter-c")
    await expect(rows).to_contain_text("on purpose")
    await screen.page.reload()
    await expect(rows).to_have_count(1)
    await screen.page.get_by_label("State").select_option("any")
    await expect(rows).to_have_count(3)


async def test_a_time_leaves_out_what_was_submitted_before_it(
    screen: Screen, shop: Service
) -> None:
    await shop.submit("time-1", type="quick")
    await screen.open("tasks?idPrefix=time-", "Tasks")
    await expect(screen.page.locator("tr[data-task]")).to_have_count(1)

    await screen.page.get_by_label("From").fill("2100-01-01T00:00:00")
    await screen.button("Filter").click()

    await screen.sees("No task is like this.")
    await screen.page.get_by_label("From").fill("2001-01-01T00:00:00")
    await screen.button("Filter").click()
    await expect(screen.page.locator("tr[data-task]")).to_have_count(1)


async def test_pages_by_cursor_lead_to_the_oldest_and_back(screen: Screen, shop: Service) -> None:
    await shop.submit(*(f"page-{number:03}" for number in range(120)), type="slow", run_at=10**17)
    await screen.open("tasks?idPrefix=page-", "Tasks")
    seen: list[str] = []

    for size in (50, 50, 20):
        await expect(screen.page.locator("tr[data-task]")).to_have_count(size)
        seen += await screen.page.locator("tr[data-task] a").all_inner_texts()
        if size == 50:
            first = screen.page.locator("tr[data-task] a").first
            was = await first.inner_text()
            await screen.link("Older").click()
            await expect(first).not_to_have_text(was)

    assert seen == [f"page-{number:03}" for number in reversed(range(120))]
    await screen.page.go_back()
    await expect(screen.page.locator("tr[data-task]")).to_have_count(50)
    await screen.link("Newest").click()
    await expect(screen.page.locator("tr[data-task] a").first).to_have_text("page-119")


async def test_states_change_as_it_happens_and_newer_tasks_are_told(
    screen: Screen, shop: Service
) -> None:
    await shop.submit("live-1", type="slow", payload='{"seconds": 0.1}', delay=3_000_000)
    await screen.open("tasks?idPrefix=live-", "Tasks")
    await expect(screen.page.locator("#live")).to_have_text("Live")
    row = screen.page.locator('tr[data-task="live-1"]')
    await expect(row).to_contain_text("queued")

    await shop.submit("live-2", type="quick")

    await screen.sees("1 came since.")
    await screen.button("Show them").click()
    await expect(screen.page.locator("tr[data-task]")).to_have_count(2)
    await expect(row.locator(".mark")).to_have_text("succeeded")


async def test_a_tasks_life_is_told_with_its_waits_errors_and_what_people_did(
    screen: Screen, shop: Service
) -> None:
    await shop.submit("life", type="invoice.send", payload='{"needs":"life-file","customer":7}')
    await shop.ended("life")
    await screen.open("task/life", "life")

    await screen.sees("Why it died", "MailServerDown", "Waited for", "Attempt 1", "failed")
    traceback = screen.page.locator("section.alarm details")
    await expect(traceback.locator("pre")).to_be_hidden()
    await traceback.locator("summary").click()
    await expect(traceback.locator("pre")).to_contain_text("Traceback (most recent call last)")

    attempt = screen.page.locator(".timeline details")
    await attempt.locator("summary").click()
    (shop.folder / "life-file").touch()
    await screen.button("Redrive").click()
    await screen.page.get_by_label("Your name").fill("Ada")
    await screen.page.get_by_label("Reason").fill("mail is back")
    await screen.button("Redrive 1 task").click()

    await screen.sees("Redriven", "by Ada: mail is back", "Attempt 2", "succeeded")
    await expect(screen.page.get_by_label("Result", exact=True)).to_contain_text('"sent": 7')
    await expect(attempt.locator("pre")).to_be_visible()
    record = await shop.ended("life")
    assert [(act.by, act.reason) for act in record.history] == [("Ada", "mail is back")]


async def test_cancelling_asks_once_and_says_what_it_does(screen: Screen, shop: Service) -> None:
    await shop.submit("to-cancel", type="slow")
    await shop.when("to-cancel", lambda record: record.attempt_count == 1)
    await screen.open("task/to-cancel", "to-cancel")

    await screen.button("Cancel").click()
    await screen.sees("to-cancel runs now: its attempt is told, and what it returns is dropped.")
    await screen.page.keyboard.press("Escape")
    assert (await shop.when("to-cancel", lambda _: True)).state == "running"
    await screen.button("Cancel").click()
    await screen.page.get_by_label("Reason").fill("not needed")
    await screen.button("Cancel the task").click()

    await screen.sees("Cancelled")
    assert (await shop.ended("to-cancel")).history[-1].reason == "not needed"


async def test_html_and_script_in_every_place_are_shown_as_text(
    screen: Screen, shop: Service
) -> None:
    payload = json.dumps({"fails": NASTY, NASTY: NASTY})
    await shop.submit(NASTY, type="quick", payload=payload)
    await shop.submit("nasty-type", type="<b>bold</b>", payload=payload)
    await shop.ended(NASTY)
    await screen.open("tasks?idPrefix=%3Cimg", "Tasks")

    await screen.page.locator("tr[data-task] a").click()
    await expect(screen.page.locator("h1")).to_have_text(NASTY)
    await expect(screen.page.get_by_label("Payload", exact=True)).to_contain_text(
        f"{json.dumps(NASTY)}: {json.dumps(NASTY)}"
    )
    await screen.sees(f"Reject {NASTY}")
    await screen.link("Edit and redrive").click()
    await expect(screen.page.locator("#payload")).to_have_value(re.compile("onerror"))
    await screen.open("dead", "Dead letters")
    await screen.sees(NASTY)
    await screen.open("", "Overview")
    await screen.sees(NASTY, "No worker handles <b>bold</b>")
    assert await screen.page.locator("main img, main script, main b:text-is('bold')").count() == 0
    assert await screen.page.title() == "Overview · unlost"


async def test_a_payload_is_shown_and_copied_as_it_was_sent(screen: Screen, shop: Service) -> None:
    await shop.submit("exact", type="quick", payload=EXACT)
    context = screen.page.context
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await screen.open("task/exact", "exact")

    shown = await screen.page.get_by_label("Payload", exact=True).inner_text()
    assert re.sub(r"\s", "", shown) == EXACT
    await screen.button("Copy the payload").click()
    await screen.sees("Copied.")
    assert await screen.page.evaluate("navigator.clipboard.readText()") == EXACT


async def test_an_id_may_hold_anything_and_one_that_is_not_there_is_said(
    screen: Screen, shop: Service
) -> None:
    strange = "a/b?c=d&e#f%20 ü 😀"
    await shop.submit(strange, type="quick")
    await screen.open("tasks?idPrefix=a%2Fb", "Tasks")

    await screen.page.locator("tr[data-task] a").click()

    await expect(screen.page.locator("h1")).to_have_text(strange)
    await screen.sees("succeeded")
    await screen.open("task/nobody-has-this", "nobody-has-this")
    await screen.sees("No task has this id.")
    assert len(screen.complaints) == 1
    assert "404" in screen.complaints.pop()


async def test_why_a_task_waits_is_told_on_its_page_and_in_the_list(
    screen: Screen, shop: Service
) -> None:
    await shop.ledger.pause("why-paused", "Ada", "the provider is down")
    await shop.submit("why-1", type="why-paused")
    await screen.open("task/why-1", "why-1")

    told = screen.page.locator("p.waits")
    await expect(told).to_contain_text("Its type is paused, by Ada: the provider is down.")
    await expect(told).to_contain_text("It starts once its type is resumed")

    await screen.open("tasks?idPrefix=why-", "Tasks")
    row = screen.page.locator('tr[data-task="why-1"]')
    await expect(row).to_contain_text("Its type is paused, by Ada")


async def test_a_task_shows_what_followed_and_that_shows_its_parent(
    screen: Screen, shop: Service
) -> None:
    await shop.submit("ordered", type="order")
    await shop.ended("ordered/pack")
    await screen.open("task/ordered", "ordered")

    await screen.page.locator(".family").get_by_role("link", name="ordered/pack").click()
    await expect(screen.page.locator("h1")).to_have_text("ordered/pack")
    await expect(screen.page.locator(".family")).to_have_count(0)
    await screen.page.get_by_role("link", name="ordered", exact=True).click()
    await expect(screen.page.locator("h1")).to_have_text("ordered")
