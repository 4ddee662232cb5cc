"""Steps in the console: what a task has recorded, and what a redrive makes again."""

from __future__ import annotations

from playwright.async_api import expect

from tests.console.screen import Screen
from tests.process.service import Service
from unlost.task import State


async def test_a_redrive_shows_its_steps_and_makes_those_again_that_are_chosen(
    screen: Screen, shop: Service
) -> None:
    await shop.submit("steps-1", type="order.ship", payload='{"needs":"steps-1"}')
    await shop.ended("steps-1")
    await screen.open("task/steps-1", "steps-1")
    steps = screen.page.locator("section.steps tbody tr")
    await expect(steps).to_have_count(2)
    await expect(steps.first).to_contain_text("charge")
    (shop.folder / "steps-1").touch()

    await screen.button("Redrive").click()
    dialog = screen.page.get_by_role("dialog")
    await dialog.get_by_label("mail").check()
    await dialog.get_by_role("button", name="Redrive 1 task, make 1 step again").click()

    record = await shop.when("steps-1", lambda record: record.state is State.SUCCEEDED)
    assert record.redrive_count == 1
    made = {step.name: step.attempt for step in await shop.ledger.steps_of("steps-1")}
    assert made == {"charge": 1, "mail": 2}


async def test_an_edited_payload_is_redriven_with_its_steps_kept(
    screen: Screen, shop: Service
) -> None:
    await shop.submit("steps-2", type="order.ship", payload='{"needs":"steps-2"}')
    await shop.ended("steps-2")
    (shop.folder / "elsewhere").touch()
    await screen.open("dead/letter/steps-2", "steps-2")
    await screen.page.locator("#payload").fill('{"needs":"elsewhere"}')
    await screen.page.locator("#redrive").click()
    dialog = screen.page.get_by_role("dialog")
    await dialog.get_by_label("Your name").fill("ann")
    await dialog.get_by_label("Reason").fill("moved")
    await dialog.get_by_role("button", name="Redrive 1 task, edited").click()

    await shop.when("steps-2", lambda record: record.state is State.SUCCEEDED)
    made = {step.name: step.attempt for step in await shop.ledger.steps_of("steps-2")}
    assert made == {"charge": 1, "mail": 1}
