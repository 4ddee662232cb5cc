"""Schedules in the console: the list, one of them, what can be done with it, and the form."""

from __future__ import annotations

import json
from typing import Any

import httpx
from playwright.async_api import expect

from tests.console.conftest import address_of
from tests.console.screen import Screen
from tests.process.service import Service

NIGHTLY = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "type": "quick", "payload": {}}
EXACT = '{"big":9007199254740993,"long":0.10000000000000000000000001}'


async def put(shop: Service, name: str, **body: Any) -> None:
    async with httpx.AsyncClient(base_url=address_of(shop)) as client:
        answer = await client.put(f"/schedules/{name}", json=NIGHTLY | body)
        assert answer.status_code == 201, answer.text


async def shown(shop: Service, name: str) -> Any:
    async with httpx.AsyncClient(base_url=address_of(shop)) as client:
        return (await client.get(f"/schedules/{name}")).json()


async def test_the_list_leads_to_one_with_its_next_times_and_what_came_of_the_last(
    screen: Screen, shop: Service
) -> None:
    await put(shop, "console-nightly")
    beat = {"every": 1, "type": "quick", "payload": {}}
    async with httpx.AsyncClient(base_url=address_of(shop)) as client:
        assert (await client.put("/schedules/console-beat", json=beat)).status_code == 201
    await screen.open("schedules", "Schedules")
    row = screen.page.locator('tr[data-schedule="console-nightly"]')
    await expect(row).to_contain_text("30 2 * * *")
    await expect(row).to_contain_text("Europe/Berlin")
    await expect(screen.page.locator('tr[data-schedule="console-beat"]')).to_contain_text("made")

    await screen.link("console-beat").click()
    await expect(screen.page.locator("h1")).to_have_text("console-beat")
    await expect(screen.page.locator("svg.strip rect").first).to_be_attached()
    await screen.sees("0 skipped; the newest is on the right.")
    await expect(screen.page.locator(".ticks a").first).to_contain_text("console-beat@20")
    await screen.button("Delete").click()
    await screen.button("Delete it").click()
    await screen.sees("Deleted.")
    await expect(screen.page.locator('tr[data-schedule="console-beat"]')).to_have_count(0)

    await screen.link("console-nightly").click()
    await expect(screen.page.locator(".next li")).to_have_count(5)
    await expect(screen.page.locator(".next li").first).to_contain_text(" 02:30:00+0")
    await screen.sees("The clock goes from", "No time of it has come yet.")


async def test_it_is_paused_resumed_and_run_by_hand(screen: Screen, shop: Service) -> None:
    await put(shop, "console-acts")
    await screen.open("schedule/console-acts", "console-acts")
    await screen.button("Pause").click()
    await screen.page.get_by_label("Your name").fill("ann")
    await screen.button("Pause it").click()
    await screen.sees("Paused.", "It is paused: no time comes to a task.")
    assert (await shown(shop, "console-acts"))["paused"]
    await screen.button("Resume").click()
    await expect(screen.page.locator(".next li")).to_have_count(5)
    await screen.button("Run now").click()
    await screen.button("Submit 1 task").click()
    await screen.sees("Submitted console-acts:run:")


async def test_while_one_writes_its_next_times_are_shown_or_what_is_wrong(
    screen: Screen, shop: Service
) -> None:
    await screen.open("schedule", "New schedule")
    preview = screen.page.locator(".preview")
    await expect(preview.locator("li")).to_have_count(5)
    times = screen.page.get_by_label("Cron expression, or seconds")
    await times.fill("30 25 * * *")
    await expect(preview).to_contain_text("hour: 25")
    await times.fill("15 0 13 * 5")
    await screen.page.get_by_label("Time zone").fill("Australia/Lord_Howe")
    await expect(preview.locator("li")).to_have_count(5)
    await expect(preview.locator("li").first).to_contain_text("00:15:00+1")
    await expect(preview).to_contain_text("it is due on days that fit either")
    await screen.page.get_by_label("Due").select_option("every")
    await times.fill("86400")
    await expect(preview.locator("li").first).to_contain_text("00:00+1")
    await screen.page.get_by_label("Id", exact=True).fill("console-new")
    await screen.page.get_by_label("Payload").fill("[]")
    await screen.button("Save").click()
    await screen.sees("A payload is a JSON object")
    await screen.page.get_by_label("Payload").fill(EXACT)
    await screen.button("Save").click()
    await expect(screen.page.locator("h1")).to_have_text("console-new")
    assert (await shown(shop, "console-new"))["every"] == 86400
    screen.complaints = [one for one in screen.complaints if "422" not in one]


async def test_an_edit_leaves_alone_what_the_form_does_not_ask_for(
    screen: Screen, shop: Service
) -> None:
    kept = {"priority": 7, "maxRetries": 3, "timeoutSeconds": 5.5, "key": "k", "graceSeconds": 90}
    await put(shop, "console-edit", **kept, payload=json.loads('{"n": 1}'))
    await screen.open("schedule/console-edit", "console-edit")
    await screen.link("Edit").click()
    await screen.page.get_by_label("Of times that were missed").select_option("skip")
    await screen.page.get_by_label("Payload").fill(EXACT)
    await screen.button("Save").click()
    await screen.sees("Saved.", "skip, after 90 s")
    found = await shown(shop, "console-edit")
    assert {name: found[name] for name in kept} == kept
    assert (found["missed"], found["cron"]) == ("skip", "30 2 * * *")
    async with httpx.AsyncClient(base_url=address_of(shop)) as client:
        assert EXACT in (await client.get("/schedules/console-edit")).text


async def test_one_that_is_not_there_is_said(screen: Screen) -> None:
    await screen.open("schedule/nobody", "nobody")
    await screen.sees("No schedule has this id.")
    screen.complaints = [one for one in screen.complaints if "404" not in one]
