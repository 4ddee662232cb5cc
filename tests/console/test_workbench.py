"""The workbench: from a failure to its redriven success, and what keeps it from doing harm."""

from __future__ import annotations

import json
import re
import time
from collections import Counter

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from tests.console.screen import Screen
from tests.process.service import Service
from unlost.ledger.values import Order, Query
from unlost.task import State


class Bench:
    """Dead letters of one error, and its page.  Each test has a fresh error: all that is dead when
    it begins is discarded."""

    def __init__(self, screen: Screen, shop: Service, name: str) -> None:
        self.screen = screen
        self.shop = shop
        self.name = name
        self.panel = screen.page.locator("#trial-text")
        self.redrive = screen.page.locator("#redrive-text")
        self.dialog = screen.page.get_by_role("dialog")

    async def die(self, number: int, needs: str | None = None, prefix: str = "") -> list[str]:
        """So many tasks die, whose handler fails until a file is there."""
        ids = [f"{self.name}-{prefix}{index}" for index in range(number)]
        payload = json.dumps({"needs": needs or self.name, "customer": 7})
        await self.shop.submit(*ids, type="invoice.send", payload=payload)
        for task_id in ids:
            await self.shop.ended(task_id)
        return ids

    def mend(self) -> None:
        (self.shop.folder / self.name).touch()

    async def open(self, number: int) -> None:
        """The error's page, from the list of all."""
        await self.screen.open("dead", "Dead letters")
        await self.screen.link("MailServerDown").click()
        await expect(self.screen.page.locator("#group-count")).to_have_text(str(number))
        await expect(self.screen.page.locator(".who")).to_contain_text("payload.customer")

    async def ask_for_all(self) -> None:
        await self.screen.page.locator("#redrive-group").click()

    async def agree(self, button: str) -> None:
        await self.dialog.get_by_role("button", name=button).click()

    async def states(self, *task_ids: str) -> Counter[State]:
        return Counter([(await self.shop.when(one, lambda _: True)).state for one in task_ids])


@pytest_asyncio.fixture(loop_scope="session")
async def bench(screen: Screen, shop: Service, request: pytest.FixtureRequest) -> Bench:
    await clear(shop)
    return Bench(screen, shop, f"b{abs(hash(request.node.name)) % 10**8}")


async def clear(shop: Service) -> None:
    """Discard every dead letter, so that a test has the only ones."""
    while True:
        page = await shop.ledger.page(Query(order=Order.DIED, limit=100))
        for record in page.records:
            await shop.ledger.discard(record.task_id, None, None)
        if not page.records:
            return


def row(bench: Bench, task_id: str) -> Locator:
    return bench.screen.page.locator(f'tr[data-task="{task_id}"]')


async def test_from_failure_to_redriven_success_by_a_canary(bench: Bench) -> None:
    ids = await bench.die(12)
    await bench.screen.open("dead", "Dead letters")
    group = bench.screen.page.locator(".groups li")
    await expect(group).to_contain_text("MailServerDown")
    await expect(group).to_contain_text(f"the mail server '{bench.name}' refused it")
    await expect(group.locator("svg.spark rect.full").first).to_be_attached()
    await bench.open(12)
    await bench.screen.sees("For whom, in the newest 12", "invoice.send \u00d7 12", "7 \u00d7 12")

    bench.mend()
    await bench.ask_for_all()
    await expect(bench.dialog).to_contain_text("12 tasks get a fresh set of attempts.")
    await expect(bench.dialog).to_contain_text(ids[-1])
    await bench.dialog.get_by_label("At most this many a second").fill("50")
    await bench.dialog.get_by_label("Your name").fill("Ada")
    await bench.dialog.get_by_label("Reason").fill("mail is back")
    await bench.agree("Redrive 1 as canary, then 11 at 50 a second")

    await expect(bench.redrive).to_contain_text("12 succeeded · 0 died again")
    await expect(bench.redrive).to_contain_text("Done.")
    await bench.screen.sees("mail is back", "Ada")
    await expect(bench.screen.button("Stop")).to_be_hidden()
    assert await bench.states(*ids) == {State.SUCCEEDED: 12}
    records = [await bench.shop.ended(one) for one in ids]
    assert {(act.by, act.reason) for one in records for act in one.history} == {
        ("Ada", "mail is back")
    }
    canary, *others = sorted(records, key=lambda record: record.history[0].at)
    assert canary.task_id == ids[0]
    assert canary.updated_at <= min(one.history[0].at for one in others)


async def test_a_canary_that_dies_again_leaves_the_others_alone(bench: Bench) -> None:
    ids = await bench.die(5)
    await bench.open(5)

    await bench.ask_for_all()
    await bench.agree("Redrive 1 as canary")

    await expect(bench.redrive).to_contain_text("Stopped: 1 died again. 4 of them are left dead.")
    await bench.screen.sees(f"Died again: {ids[0]}")
    redriven = [(await bench.shop.ended(one)).redrive_count for one in ids]
    assert redriven == [1, 0, 0, 0, 0]


async def test_it_goes_on_when_its_page_is_left_and_is_found_in_the_list(bench: Bench) -> None:
    ids = await bench.die(5)
    bench.mend()
    await bench.open(5)

    await bench.ask_for_all()
    await bench.agree("Redrive 1 as canary")
    await expect(bench.redrive).to_be_visible()
    name = bench.screen.page.url.rpartition("/")[2]
    await bench.screen.page.goto("about:blank")

    for task_id in ids:
        await bench.shop.when(task_id, lambda record: record.state is State.SUCCEEDED)
    await bench.screen.open("dead", "Dead letters")
    await bench.screen.link("Redrives").click()
    await bench.screen.link(name).click()
    await expect(bench.redrive).to_have_text(
        "5 of 5 redriven · 5 succeeded · 0 died again · 0 on their way. Done."
    )


async def test_it_stops_by_itself_when_failures_recur_after_the_canary(bench: Bench) -> None:
    good = await bench.die(1, prefix="good")
    bad = await bench.die(30, needs="never-mended")
    bench.mend()
    await bench.open(31)

    await bench.ask_for_all()
    await bench.dialog.get_by_label("At most this many a second").fill("8")
    await bench.dialog.get_by_label("So many may die again").fill("1")
    await bench.agree("Redrive 1 as canary, then 30 at 8 a second")

    await expect(bench.redrive).to_contain_text(re.compile(r"Stopped: \d died again\."))
    assert await bench.states(*good) == {State.SUCCEEDED: 1}
    redriven = [(await bench.shop.ended(one)).redrive_count for one in bad]
    assert 2 <= sum(redriven) <= 6
    assert (await bench.shop.ledger.counts()).states[State.DEAD] == 30


async def test_the_person_stops_it(bench: Bench) -> None:
    ids = await bench.die(10)
    bench.mend()
    await bench.open(10)

    await bench.ask_for_all()
    await bench.dialog.get_by_label("At most this many a second").fill("0.5")
    await bench.agree("Redrive 1 as canary")
    await expect(bench.redrive).to_contain_text("2 of 10 redriven")
    await bench.screen.button("Stop").click()

    await expect(bench.redrive).to_contain_text("are left dead.")
    await expect(bench.redrive).to_contain_text("Stopped")
    states = await bench.states(*ids)
    assert states[State.DEAD] >= 7


async def test_chosen_ones_are_redriven_and_no_others(bench: Bench) -> None:
    ids = await bench.die(4)
    bench.mend()
    await bench.open(4)
    await expect(bench.screen.button("Redrive chosen")).to_be_disabled()

    for task_id in ids[:2]:
        await bench.screen.page.get_by_label(f"Choose {task_id}").check()
    await expect(bench.screen.page.locator("#chosen")).to_have_text("2 chosen")
    await bench.screen.button("Redrive chosen").click()
    await expect(bench.dialog).to_contain_text("Redrive 2 chosen dead letters?")
    await bench.dialog.get_by_label("All of them, without a canary").check()
    await bench.agree("Redrive 2 tasks at 10 a second")

    await expect(bench.redrive).to_contain_text("2 succeeded · 0 died again")
    assert await bench.states(*ids[:2]) == {State.SUCCEEDED: 2}
    assert await bench.states(*ids[2:]) == {State.DEAD: 2}


async def test_all_can_be_redriven_whatever_becomes_of_them(bench: Bench) -> None:
    ids = await bench.die(6)
    await bench.open(6)

    await bench.ask_for_all()
    await bench.dialog.get_by_label("All of them, whatever becomes of them").check()
    await bench.dialog.get_by_label("At most this many a second").fill("5")
    await bench.agree("Redrive 6 tasks at 5 a second")

    await expect(bench.redrive).to_contain_text("6 died again · 0 on their way. Done.")
    starts = [(await bench.shop.ended(one)).attempts[-1].started_at for one in ids]
    assert max(starts) - min(starts) >= 0.9 * 1_000_000


async def test_a_payload_is_edited_with_a_diff_and_the_history_says_who_did_it(
    bench: Bench,
) -> None:
    task_id = f"{bench.name}-report"
    payload = '{"n":9007199254740993,"amount":1.10,"note":"<b>x</b>"}'
    await bench.shop.submit(task_id, type="report.build", payload=payload)
    await bench.shop.ended(task_id)
    await bench.screen.open(f"dead/letter/{task_id}", task_id)
    area = bench.screen.page.locator("#payload")

    await area.fill('{"n": 9007199254740993, "amount": 1.10,')
    await bench.screen.sees("This is not JSON")
    await area.fill('{"n": 9007199254740993, "amount": 1.10, "customer": 12345678901234567890.50}')
    diff = bench.screen.page.get_by_label("Changes")
    await expect(diff.locator("del")).to_have_text('-   "note": "<b>x</b>"')
    await expect(diff.locator("ins")).to_have_text('+   "customer": 12345678901234567890.50')
    await bench.screen.button("Redrive").click()
    await expect(bench.dialog).to_contain_text("1 line added, 1 line removed")
    await bench.dialog.get_by_label("Your name").fill("Grace")
    await bench.dialog.get_by_label("Reason").fill("the customer was missing")
    await bench.agree("Redrive 1 task, edited")

    await bench.screen.sees("by Grace: the customer was missing", "Attempt 2", "succeeded")
    record = await bench.shop.ended(task_id)
    edited = '{"n":9007199254740993,"amount":1.10,"customer":12345678901234567890.50}'
    assert record.payload == edited
    assert (record.history[0].by, record.history[0].reason) == (
        "Grace", "the customer was missing",
    )  # fmt: skip


async def test_an_edit_asks_for_a_name_and_a_reason(bench: Bench) -> None:
    [task_id] = await bench.die(1)
    await bench.screen.open(f"dead/letter/{task_id}", task_id)

    await bench.screen.page.locator("#payload").fill('{"needs": "x"}')
    await bench.screen.button("Redrive").click()
    await bench.agree("Redrive 1 task, edited")

    await expect(bench.dialog).to_be_visible()
    assert await bench.states(task_id) == {State.DEAD: 1}


async def test_a_discard_that_was_not_done_keeps_the_page_and_what_was_edited(bench: Bench) -> None:
    [task_id] = await bench.die(1)
    await bench.screen.open(f"dead/letter/{task_id}", task_id)
    area = bench.screen.page.locator("#payload")
    await area.fill('{"needs": "x"}')
    await bench.screen.page.route("**/dead-letters/*", lambda route: route.abort())

    await bench.screen.button("Discard").click()
    await bench.dialog.get_by_label("Reason").fill("test data")
    await bench.agree("Discard 1 dead letter")

    await expect(bench.screen.page.locator(".note.wrong")).to_be_visible()
    await expect(area).to_have_value('{"needs": "x"}')
    assert await bench.states(task_id) == {State.DEAD: 1}
    bench.screen.complaints.clear()  # of the call that failed


async def test_discarding_asks_once_for_a_reason_and_says_for_how_many(bench: Bench) -> None:
    ids = await bench.die(3)
    await bench.open(3)

    await bench.screen.button("Choose all shown").click()
    await bench.screen.button("Discard chosen").click()
    await expect(bench.dialog).to_contain_text(
        "3 dead letters will be cancelled for good and cannot be redriven."
    )
    await bench.agree("Discard 3 dead letters")
    assert await bench.states(*ids) == {State.DEAD: 3}
    await bench.dialog.get_by_label("Reason").fill("test data")
    await bench.agree("Discard 3 dead letters")

    await expect(bench.panel).to_contain_text("3 of 3 discarded. Done.")
    assert await bench.states(*ids) == {State.CANCELLED: 3}
    assert {(await bench.shop.ended(one)).history[-1].reason for one in ids} == {"test data"}


async def test_an_export_has_every_letter_whole_and_as_it_was_sent(bench: Bench) -> None:
    await bench.die(2)
    await bench.shop.submit(
        f"{bench.name}-exact", type="invoice.send",
        payload='{"needs":"never","big":9007199254740993,"1":0.10}',
    )  # fmt: skip
    await bench.shop.ended(f"{bench.name}-exact")
    await bench.open(3)

    async with bench.screen.page.expect_download() as download:
        await bench.screen.button("Export").click()
    text = (await (await download.value).path()).read_text()

    lines = text.splitlines()
    assert {json.loads(line)["taskId"] for line in lines} == {
        f"{bench.name}-{suffix}" for suffix in ("0", "1", "exact")
    }
    assert '"payload":{"needs":"never","big":9007199254740993,"1":0.10}' in text
    assert all("Traceback" in json.loads(line)["attempts"][0]["error"]["traceback"]
               for line in lines)  # fmt: skip
    assert re.fullmatch(
        r"dead-letters-[0-9a-f]{16}\.ndjson", (await download.value).suggested_filename
    )


async def test_new_deaths_appear_by_themselves(bench: Bench) -> None:
    await bench.screen.open("dead", "Dead letters")
    await bench.screen.sees("There are none.")

    began = time.monotonic()
    await bench.die(2)

    await bench.screen.sees("2 dead letters of 1 error")
    assert time.monotonic() - began < 10
