"""What a process remembers of what clients send is bounded, however many different things come."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from unlost.access.browser import Facts, Rules, refusal
from unlost.access.proxies import believed, seen
from unlost.api.calls.status import WINDOW, Rates
from unlost.api.calls.watching.following import Following
from unlost.api.http.heads import MOST_KNOWN, Again, Client, Heads
from unlost.api.request.bodies import MediaType, media_type
from unlost.ledger.values import Counts, Transition
from unlost.task import SECOND, State
from unlost.times import rfc3339

MANY = 50_000


def kept_of(bring: Callable[[int], object], many: int) -> int:
    """Bytes that are kept of so many different things that are brought."""
    bring(0)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, many):
            bring(number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def _host(text: str) -> object:
    return refusal(Rules(hosts_only=True), "GET", Facts({b"host": text.encode()}, None))


def _type(text: str) -> object:
    headers = [(b"content-type", b"application/json; x=" + text.encode())]
    return media_type({"type": "http", "headers": headers}, MediaType.JSON)


def _chain(text: str) -> object:
    return seen(believed(["127.0.0.1"]), "127.0.0.1", [(b"x-forwarded-for", text.encode())])


@pytest.mark.parametrize("read", [_host, _type, _chain])
def test_long_headers_are_not_remembered(read: Callable[[str], object]) -> None:
    def bring(number: int) -> None:
        read(f"{number}." + "x" * 30_000)

    assert kept_of(bring, 1_200) < 256 * 1024


def test_the_times_of_long_ago_are_not_remembered() -> None:
    assert kept_of(lambda number: rfc3339(number * SECOND), MANY) < 256 * 1024


def test_of_many_looks_at_the_counters_few_are_kept() -> None:
    rates = Rates()
    for number in range(MANY):
        rates.observe(number / 1_000, Counts(number, 0, {}, 0))
    told = rates.observe(MANY / 1_000, Counts(MANY, 0, {}, 0))

    assert len(rates._seen) <= 10 * WINDOW + 2
    assert told.submitted_per_second == pytest.approx(1_000, rel=0.02)


async def test_what_followers_had_to_read_goes_with_the_last_of_them() -> None:
    following = Following()
    with following.follower():
        with following.follower():
            following.put([_transition(number) for number in range(100)])
        assert following._recent.end == 100
    assert following._recent.end == 0


def _transition(number: int) -> Transition:
    return Transition(f"task-{number}", "mail", State.QUEUED, 0, number)


def test_of_ever_new_heads_few_are_known() -> None:
    heads: Heads = {}

    def call(_body: bytes, _client: Client) -> bool:
        return False

    for number in range(MANY):
        Again(heads, "127.0.0.1", b"%d" % number, 10, None).remember(call)
        assert len(heads) <= MOST_KNOWN
