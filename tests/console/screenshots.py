"""Makes docs/screenshots: `.venv/bin/python -m tests.console.screenshots`, in about a minute."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from pathlib import Path
from random import Random

from playwright.async_api import Browser, async_playwright, expect

from tests.console.conftest import APP, NAMES, address_of
from tests.console.screen import Screen, screen_of
from tests.process.service import Service, service

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
WIDE = {"width": 1180, "height": 760}
PHONE = {"width": 360, "height": 740}
SECONDS = 40
"""How long tasks are submitted before the plots are taken."""

MAIL_SERVER = "smtp.example"


async def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    program = next(filter(None, map(shutil.which, NAMES)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(APP, folder)
        async with (
            service(folder, "serve", handler="console_app:handlers") as shop,
            async_playwright() as tools,
        ):
            browser = await tools.chromium.launch(executable_path=program, args=["--no-sandbox"])
            await take(browser, shop)
            await browser.close()


async def take(browser: Browser, shop: Service) -> None:
    address = address_of(shop)
    async with screen_of(browser, address, viewport=WIDE) as screen:
        await screen.open(heading="Overview")
        await expect(screen.page.locator("#live")).to_have_text("Live")
        await trade(shop)
        await shoot(screen, "overview")
        await screen.open("tasks", "Tasks")
        await shoot(screen, "tasks")
        await screen.open("dead", "Dead letters")
        await shoot(screen, "dead-letters")
        await redrive(screen, shop)
        await edit(screen, shop)
    async with screen_of(browser, address, viewport=WIDE, color_scheme="dark") as screen:
        await screen.open("task/invoice-0040", "invoice-0040")
        await shoot(screen, "task-dark")
    async with screen_of(browser, address, viewport=PHONE) as screen:
        await screen.open("dead", "Dead letters")
        await shoot(screen, "phone")


async def trade(shop: Service) -> None:
    """Some time of a shop's life, in which its mail server breaks."""
    random = Random(7)
    await shop.submit("nightly-report", "import-catalogue", type="slow")
    invoice = 0
    for tick in range(SECONDS * 5):
        number = 3 + round(6 * random.random()) + (tick % 60 > 40) * 8
        await shop.submit(*(f"order-{tick}-{n}" for n in range(number)), type="quick")
        if tick > SECONDS and tick % 3 == 0:
            invoice += 1
            payload = {"needs": MAIL_SERVER, "customer": 7, "amount": 0, "lines": ["A-113"]}
            payload |= {"customer": random.choice((7, 7, 7, 9, 12))}
            text = json.dumps(payload).replace('"amount": 0', f'"amount": {10 + invoice}.10')
            await shop.submit(f"invoice-{invoice:04}", type="invoice.send", payload=text)
        if tick % 40 == 30:
            report = f'{{"month":"2026-1{tick % 2}","total":9007199254740993}}'
            await shop.submit(f"report-{tick}", type="report.build", payload=report)
        await asyncio.sleep(0.2)


async def redrive(screen: Screen, shop: Service) -> None:
    """The workbench amid a redrive whose canary succeeded."""
    await screen.link("MailServerDown").click()
    await screen.sees("For whom")
    (shop.folder / MAIL_SERVER).touch()
    await screen.page.locator("#redrive-group").click()
    await screen.page.get_by_label("Your name").fill("Ada")
    await screen.page.get_by_label("Reason").fill("the mail server is back")
    await shoot(screen, "redrive")
    await screen.button("Redrive 1 as canary").click()
    await expect(screen.page.locator("#redrive-text")).to_contain_text(re.compile(r"(1\d|2\d) of"))
    await shoot(screen, "workbench")
    await expect(screen.page.locator("#redrive-text")).to_contain_text("Done.")


async def edit(screen: Screen, shop: Service) -> None:
    """A payload with what an edit changes."""
    await screen.open("dead/letter/report-30", "report-30")
    area = screen.page.locator("#payload")
    text = await area.input_value()
    await area.fill(text.replace('"month"', '"customer": 7,\n  "month"'))
    await shoot(screen, "edit")


async def shoot(screen: Screen, name: str) -> None:
    await expect(screen.page.get_by_text("Looking…")).to_have_count(0)
    await screen.page.mouse.move(0, 0)
    await asyncio.sleep(0.5)  # for fonts and what fades
    await screen.page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(main())
