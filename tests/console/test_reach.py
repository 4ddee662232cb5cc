"""Who can use it: by keyboard, with a screen reader, on a phone, in the dark."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.console.conftest import address_of
from tests.console.screen import ALL, COLOURS, Screen, screen_of
from tests.process.service import Service
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change
from unlost.redrive import Named, Redrive

PLACES = [
    *("", "tasks", "task/reach-a", "schedules", "schedule", "schedule/reach-beat"),
    *("schedule/reach-beat?edit=1", "dead", "dead/{group}", "redrives", "redrives/{redrive}"),
    *("types", "dead/letter/reach-a"),
]
BEAT = {"every": 1, "type": "reach." + "t" * 90, "payload": {"note": "y" * 2000}}
LONG = "reach-" + "x" * 249
REDRIVE = "reach-" + "r" * 194


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def group(shop: Service) -> str:
    """Dead letters and a redrive, some with the longest ids there can be; the fingerprint of the
    letters' error."""
    payload = json.dumps({"needs": "never", "customer": 7, "note": "y" * 2000})
    await shop.submit("reach-a", "reach-b", LONG, type="invoice.send", payload=payload)
    await shop.submit("reach-c", type="nobody.does.this." + "z" * 80)
    await shop.ended(LONG)
    async with httpx.AsyncClient(base_url=address_of(shop)) as client:
        for name in ("reach-beat", "reach-" + "b" * 194):
            assert (await client.put(f"/schedules/{name}", json=BEAT)).status_code == 201
    everything = Change(3, 100_000, Breaker(), 0.001, 100_000.0)
    await shop.ledger.change("reach." + "t" * 90, everything)
    await shop.ledger.pause("reach." + "t" * 90, "ann " * 20, "r" * 200)
    record = await shop.ended("reach-a")
    assert record.error is not None
    await shop.ledger.add_redrive(Redrive(REDRIVE, type="nobody", by="ann " * 20), Named())
    return record.error.fingerprint


@pytest.mark.parametrize(("scheme", "rules"), [("light", ALL), ("dark", COLOURS)])
async def test_axe_finds_nothing_on_any_page(
    browser: Browser, shop: Service, group: str, scheme: str, rules: dict[str, Any]
) -> None:
    async with screen_of(browser, address_of(shop), color_scheme=scheme) as screen:
        for place in PLACES:
            await screen.open(place.format(group=group, redrive=REDRIVE))
            await settled(screen)
            assert await screen.accessibility(rules) == [], place
        await screen.page.locator("#payload").fill('{"needs": "x"}')
        assert await screen.accessibility(rules) == []
        await screen.button("Redrive…").click()
        assert await screen.accessibility(rules) == []


@pytest.mark.parametrize("width", [360, 768])
async def test_no_page_scrolls_sideways(
    browser: Browser, shop: Service, group: str, width: int
) -> None:
    viewport = {"width": width, "height": 740}
    async with screen_of(browser, address_of(shop), viewport=viewport) as screen:
        for place in [*PLACES, f"task/{LONG}"]:
            await screen.open(place.format(group=group, redrive=REDRIVE))
            await settled(screen)
            assert await screen.width() <= width, place
        await screen.open(f"dead/{group}")
        await screen.page.locator("#redrive-group").click()
        box = await screen.page.get_by_role("dialog").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


async def settled(screen: Screen) -> None:
    """Return once the page shows what it asked for."""
    await expect(screen.page.get_by_text("Looking…")).to_have_count(0)
    await expect(screen.page.locator("h1")).to_be_visible()


async def focused(page: Page) -> str:
    name: str = await page.evaluate(
        "(({ariaLabel, textContent}) => (ariaLabel ?? textContent).trim())(document.activeElement)"
    )
    return name


async def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press Tab until what has the focus is called so."""
    for _ in range(60):
        await page.keyboard.press(key)
        if name in await focused(page):
            return
    raise AssertionError(f"Tab does not lead to {name}")


async def test_a_dead_letter_is_found_and_redriven_by_keyboard_alone(
    screen: Screen, shop: Service, group: str
) -> None:
    page = screen.page
    await screen.open(heading="Overview")

    await page.keyboard.press("Tab")
    assert await focused(page) == "Skip to content"
    await tab_to(page, "Dead letters")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Dead letters")
    await expect(page.locator("main")).to_be_focused()
    await expect(page.locator(".groups a").first).to_be_visible()
    await tab_to(page, "MailServerDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Choose reach-b")).to_be_visible()
    await tab_to(page, "Choose reach-b")
    await page.keyboard.press("Space")
    await expect(page.locator("#chosen")).to_have_text("1 chosen")
    await tab_to(page, "Redrive chosen", "Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert "Redrive chosen" in await focused(page)
    await page.keyboard.press("Enter")
    await tab_to(page, "Redrive 1 task")
    await page.keyboard.press("Enter")

    await expect(page.locator("#redrive-text")).to_contain_text("Stopped: 1 died again.")
    assert (await shop.ended("reach-b")).redrive_count == 1


async def test_what_a_page_says_is_read_out(screen: Screen, group: str) -> None:
    said = screen.page.locator("#said[aria-live=polite]")
    await screen.open(heading="Overview")

    await screen.link("Tasks").click()
    await expect(said).to_have_text("Tasks · unlost")


async def test_the_focus_stays_where_it_is_while_the_page_lives(
    screen: Screen, shop: Service, group: str
) -> None:
    await screen.open(heading="Overview")
    failing = screen.page.locator(".failing a").first
    before = await failing.inner_text()
    await failing.focus()

    await shop.submit("reach-d", type="invoice.send", payload='{"needs":"never"}')
    await expect(failing).not_to_have_text(before)

    await expect(failing).to_be_focused()


async def test_the_theme_is_the_systems_until_somebody_chooses(
    browser: Browser, shop: Service
) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    async with screen_of(browser, address_of(shop), color_scheme="dark") as screen:
        await screen.open(heading="Overview")
        dark = await screen.page.evaluate(ground)
        await screen.page.locator("#theme").click()
        light = await screen.page.evaluate(ground)
        await screen.page.reload()
        assert await screen.page.evaluate(ground) == light
        await screen.page.locator("#theme").click()
        assert await screen.page.evaluate(ground) == dark
        await expect(screen.page.locator("#theme")).to_have_attribute("aria-label", "Colours: dark")
    assert brightness(dark) < 150
    assert brightness(light) > 600


def brightness(colour: str) -> int:
    """The sum of the parts of `rgb(r, g, b)`."""
    return sum(map(int, colour[4:-1].split(", ")))
