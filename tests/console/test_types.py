"""The types in the console: what is set for each, whether it is held back, and changing it."""

from __future__ import annotations

from playwright.async_api import expect

from tests.console.screen import Screen
from tests.process.service import Service
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change, Control, Pause


async def set_for(shop: Service, name: str) -> Control | None:
    found = [one for one in await shop.ledger.controls() if one.type == name]
    return found[0] if found else None


async def test_limits_and_rates_are_shown_set_changed_and_removed(
    screen: Screen, shop: Service
) -> None:
    await shop.ledger.change("types.mail", Change(limit=7, breaker=Breaker()))
    await screen.open("types", "Types")
    row = screen.page.locator('tr[data-type="types.mail"]')
    await expect(row.locator(".in-limit")).to_have_text("7")
    await expect(row).to_contain_text("opens at 50 % failed of 10 or more in 60 s")

    await screen.button("Change types.mail").click()
    await screen.page.locator("[name=limit]").fill("")
    await screen.page.locator("[name=ratePerSecond]").fill("2.5")
    await screen.button("Set them").click()
    await screen.sees("types.mail is changed.")
    await expect(row.locator(".in-ratePerSecond")).to_have_text("2.5")
    assert await set_for(shop, "types.mail") == Control("types.mail", breaker=Breaker(), rate=2.5)

    await screen.button("Set another").click()
    await screen.page.locator("[name=type]").fill("types.a/b ü")
    await screen.page.locator("[name=keyRatePerSecond]").fill("1000")
    await screen.button("Set them").click()
    await expect(screen.page.locator('tr[data-type="types.a/b ü"]')).to_contain_text("1,000")
    assert await set_for(shop, "types.a/b ü") == Control("types.a/b ü", key_rate=1_000)


async def test_a_type_is_marked_as_pulled_and_the_mark_is_taken_off(
    screen: Screen, shop: Service
) -> None:
    await shop.ledger.change("types.pdf", Change(limit=7))
    await screen.open("types", "Types")
    row = screen.page.locator('tr[data-type="types.pdf"]')
    await screen.button("Change types.pdf").click()
    await screen.page.get_by_label("Only workers that claim by the API").check()
    await screen.button("Set them").click()
    await expect(row).to_contain_text("by the API alone")
    assert await set_for(shop, "types.pdf") == Control("types.pdf", limit=7, pull=True)
    await screen.button("Change types.pdf").click()
    await screen.page.get_by_label("Only workers that claim by the API").uncheck()
    await screen.button("Set them").click()
    await expect(row).not_to_contain_text("by the API alone")
    assert await set_for(shop, "types.pdf") == Control("types.pdf", limit=7)


async def test_a_breaker_is_set_changed_and_removed(screen: Screen, shop: Service) -> None:
    await shop.ledger.change("types.push", Change(limit=7))
    await screen.open("types", "Types")
    row = screen.page.locator('tr[data-type="types.push"]')
    await screen.button("Breaker of types.push").click()
    await screen.page.get_by_label("percent failed").fill("7")
    await screen.button("Set it").click()
    await expect(row).to_contain_text("opens at 7 % failed of 10 or more in 60 s")
    found = await set_for(shop, "types.push")
    assert found == Control("types.push", limit=7, breaker=Breaker(share=0.07))

    await screen.button("Breaker of types.push").click()
    assert await screen.page.locator("[name=failureShare]").input_value() == "7"
    await screen.page.get_by_label("within so many seconds").fill("5.5")
    await screen.page.get_by_label("spend no retry").check()
    await screen.button("Set it").click()
    await expect(row).to_contain_text("in 5.5 s")
    found = await set_for(shop, "types.push")
    breaker = Breaker(share=0.07, window=5_500_000, excuse=True)
    assert found == Control("types.push", limit=7, breaker=breaker)

    await screen.button("Breaker of types.push").click()
    await screen.button("Set it").click()
    await screen.sees("Nothing of types.push was changed.")
    await screen.button("Breaker of types.push").click()
    await screen.page.get_by_label("Remove the breaker").check()
    await screen.button("Remove it").click()
    await expect(row.locator(".in-breaker")).to_be_empty()
    assert await set_for(shop, "types.push") == Control("types.push", limit=7)


async def test_what_is_no_number_is_refused_and_changes_nothing(
    screen: Screen, shop: Service
) -> None:
    await shop.ledger.change("types.sms", Change(limit=7))
    await screen.open("types", "Types")
    await screen.button("Change types.sms").click()
    await screen.page.locator("[name=limit]").fill("many")
    await screen.button("Set them").click()
    await expect(screen.page.locator(".note.wrong")).to_contain_text("limit")
    assert await set_for(shop, "types.sms") == Control("types.sms", limit=7)
    screen.complaints.clear()  # of the 422, by the browser


async def test_a_type_is_paused_and_resumed(screen: Screen, shop: Service) -> None:
    await shop.ledger.change("types.fax", Change(limit=7))
    await screen.open("types", "Types")
    await screen.button("Pause types.fax").click()
    await screen.page.get_by_label("Your name").fill("ann")
    await screen.page.get_by_label("Reason").fill("upgrade")
    await screen.button("Pause it").click()
    row = screen.page.locator('tr[data-type="types.fax"]')
    await expect(row).to_contain_text("is paused by ann: upgrade, since")
    found = await set_for(shop, "types.fax")
    assert found is not None
    assert found.pause == Pause("types.fax", found.pause.at if found.pause else 0, "ann", "upgrade")
    await screen.button("Resume types.fax").click()
    await screen.sees("types.fax goes on.")
    await expect(row).not_to_contain_text("is paused")
    assert await set_for(shop, "types.fax") == Control("types.fax", limit=7)


async def test_types_that_workers_take_by_name_are_shown_beside_those_that_are_set(
    screen: Screen,
) -> None:
    await screen.open("types", "Types")
    given = {
        "types": [{"type": "mail", "limit": 3}],
        "workers": [{"types": None}, {"types": ["sms", "mail"]}],
    }
    script = "({typesOf}, {types, workers}) => typesOf(types, workers)"
    shown = await screen.module("types/settings.js", script, given)
    assert [(one["type"], one.get("limit")) for one in shown] == [("mail", 3), ("sms", None)]
