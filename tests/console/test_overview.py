"""The overview: the sum, what needs somebody, the plots, and that all of it lives."""

from __future__ import annotations

import re
from contextlib import suppress

from playwright.async_api import expect

from tests.console.screen import Screen
from tests.process.service import Service

BROKEN = '{"needs": "nothing-mends-this"}'


async def test_it_shows_the_sum_which_adds_up_and_moves(screen: Screen, shop: Service) -> None:
    await screen.open(heading="Overview")
    await expect(screen.page.locator("#verdict")).to_have_text("It adds up: nothing is lost.")
    before = int((await screen.page.locator(".term b").first.inner_text()).replace(",", ""))

    await shop.submit("sum-1", "sum-2", type="quick")

    accepted = screen.page.locator(".term b").first
    await expect(accepted).to_have_text(str(before + 2))
    terms = await screen.page.locator(".term b").all_inner_texts()
    first, *rest = [int(term.replace(",", "")) for term in terms]
    assert first == sum(rest)


async def test_a_sum_that_does_not_add_up_is_an_alarm(screen: Screen) -> None:
    await screen.open(heading="Overview")
    states = {"queued": 1, "running": 0, "retrying": 0, "succeeded": 5, "dead": 2, "cancelled": 0}

    text, right = await screen.module(
        "pages/sum.js",
        "({check}, stats) => check(stats)",
        {"accepted": 9, "lost": 1, "states": states},
    )

    assert not right
    assert "1 task of those accepted are in no state" in text


async def test_it_shows_what_fails_why_since_when_and_leads_there(
    screen: Screen, shop: Service
) -> None:
    await shop.submit("d-1", "d-2", type="invoice.send", payload=BROKEN)
    await shop.ended("d-2")
    await screen.open(heading="Overview")

    failing = screen.page.locator(".failing li").filter(has_text="MailServerDown")
    await expect(failing).to_contain_text("the mail server 'nothing-mends-this' refused it")
    await expect(failing).to_contain_text(re.compile("since .* ago|since now"))
    await failing.get_by_role("link").click()

    await expect(screen.page.locator("h1")).to_contain_text("MailServerDown")


async def test_it_names_types_that_no_worker_handles(screen: Screen, shop: Service) -> None:
    await shop.submit("stray", type="nobody.does.this")
    await screen.open(heading="Overview")

    await screen.sees("No worker handles nobody.does.this, which waits.")


async def test_it_plots_rates_counts_and_the_latency_of_what_it_hears(
    screen: Screen, shop: Service
) -> None:
    await screen.open(heading="Overview")
    await expect(screen.page.locator("#live")).to_have_text("Live")

    latency = screen.page.locator(".plot").filter(has_text="Latency")
    wait = latency.locator("li").filter(has_text="wait p50").locator("b")
    for turn in range(15):  # events are hints: the workers may not know yet that somebody listens
        await shop.submit(*(f"plot-{turn}-{number}" for number in range(20)), type="quick")
        with suppress(AssertionError):
            await expect(wait).to_have_text(re.compile(r"\d.* (ms|s)$"), timeout=2_000)
            break
    await expect(wait).to_have_text(re.compile(r"\d.* (ms|s)$"))
    for title in ("Rates", "Outstanding", "Dead letters", "Latency"):
        plot = screen.page.locator(".plot").filter(has_text=title)
        await expect(plot.locator("path.line").first).to_have_attribute("d", re.compile("^M"))


async def test_a_service_that_stops_answering_is_said_and_comes_back(
    screen: Screen, shop: Service
) -> None:
    await screen.open(heading="Overview")
    await expect(screen.page.locator("#verdict")).to_have_text("It adds up: nothing is lost.")

    await screen.page.context.set_offline(True)
    await expect(screen.page.get_by_role("alert")).to_contain_text("The service does not answer.")
    await screen.page.context.set_offline(False)

    await expect(screen.page.get_by_role("alert")).to_have_count(0)
    assert all("ERR_INTERNET_DISCONNECTED" in said for said in screen.complaints)
    screen.complaints.clear()


TYPES = [
    {"type": "mail", "pause": {"at": "2026-01-01T00:00:00Z", "by": "Ada", "reason": "upgrade"},
     "limit": None, "keyLimit": None, "breaker": None, "circuit": None, "circuitSince": None,
     "opensUntil": None},
    {"type": "pay", "pause": None, "limit": 3, "keyLimit": None, "breaker": {}, "circuit": "open",
     "circuitSince": "2026-01-01T00:00:00Z", "opensUntil": "2026-01-01T00:00:30Z"},
    {"type": "calm", "pause": None, "limit": 3, "keyLimit": 1, "breaker": {}, "circuit": "closed",
     "circuitSince": None, "opensUntil": None},
]  # fmt: skip


async def test_what_is_held_back_by_type_is_told(screen: Screen) -> None:
    await screen.open(heading="Overview")

    held = await screen.module(
        "pages/attention.js", "({heldBack}, types) => heldBack(types)", TYPES
    )

    assert [(one["type"], one["says"]) for one in held] == [
        ("mail", "is paused by Ada: upgrade"),
        ("pay", "has an open circuit breaker; it is tried again soon"),
    ]


async def test_it_shows_what_is_paused_and_what_each_worker_runs(
    screen: Screen, shop: Service
) -> None:
    await shop.ledger.pause("mail", "Ada", "upgrade")
    await shop.submit("long-1", type="slow")
    try:
        await screen.open(heading="Overview")
        await screen.sees("mail is paused by Ada: upgrade, since")
        running = screen.page.locator(".workers li li").filter(has_text="long-1")
        await expect(running).to_contain_text("slow, attempt 1, for")
    finally:
        await shop.ledger.resume("mail")
        await shop.ledger.cancel("long-1", None, None)
