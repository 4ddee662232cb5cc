"""What the console decides and reads, without a page: its pure modules in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.console.conftest import address_of
from tests.console.screen import Screen, screen_of
from tests.process.service import Service

ALL = {"redriven": 0, "succeeded": 0, "died": 0, "cancelled": 0, "stumbling": 0, "seconds": 0}
PLAN = {"total": 10, "canary": True, "rate": None, "stopAfter": 1}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def blank(browser: Browser, shop: Service) -> AsyncIterator[Screen]:
    """Any page of the console: the modules do not look at it."""
    async with screen_of(browser, address_of(shop)) as screen:
        await screen.open(heading="Overview")
        yield screen


async def decide(blank: Screen, plan: dict[str, Any], **course: Any) -> dict[str, Any]:
    given = [PLAN | plan, ALL | course]
    decision: dict[str, Any] = await blank.module(
        "workbench/rules.js", "({decide}, [plan, course]) => decide(plan, course)", given
    )
    return decision


async def test_the_canary_goes_alone_and_the_others_only_once_it_succeeded(blank: Screen) -> None:
    assert await decide(blank, {}) == {"act": "redrive", "number": 1}
    assert await decide(blank, {}, redriven=1) == {"act": "wait"}
    assert await decide(blank, {}, redriven=1, stumbling=1) == {"act": "wait"}
    went = await decide(blank, {}, redriven=1, succeeded=1)
    assert went == {"act": "redrive", "number": 9}


@pytest.mark.parametrize("end", ["died", "cancelled"])
async def test_a_canary_that_does_not_succeed_stops_it_whatever_is_tolerated(
    blank: Screen, end: str
) -> None:
    decision = await decide(blank, {"stopAfter": 5}, redriven=1, **{end: 1})

    assert decision["act"] == "stop"
    assert "Nothing else was redriven" in decision["why"]


async def test_without_a_canary_all_may_go_at_once_up_to_what_can_be_watched(blank: Screen) -> None:
    plan = {"canary": False, "total": 1000}

    assert await decide(blank, plan) == {"act": "redrive", "number": 200}
    assert await decide(blank, plan, redriven=200) == {"act": "wait"}
    more = await decide(blank, plan, redriven=200, succeeded=30)
    assert more == {"act": "redrive", "number": 30}


async def test_the_rate_bounds_how_many_have_gone_by_any_time(blank: Screen) -> None:
    plan = {"rate": 2, "total": 100}
    course = {"succeeded": 1, "stumbling": 0}

    at = [await decide(blank, plan, redriven=n, seconds=s, **course)
          for n, s in ((1, 0), (2, 0.4), (2, 0.5), (3, 2.0), (6, 2.0))]  # fmt: skip

    assert at == [
        {"act": "redrive", "number": 1},
        {"act": "wait"},
        {"act": "redrive", "number": 1},
        {"act": "redrive", "number": 3},
        {"act": "wait"},
    ]


async def test_it_stops_when_as_many_died_again_as_were_said(blank: Screen) -> None:
    plan = {"stopAfter": 3}

    going = await decide(blank, plan, redriven=5, succeeded=2, died=2)
    stopped = await decide(blank, plan, redriven=5, succeeded=2, died=3)

    assert going["act"] == "redrive"
    assert stopped == {"act": "stop", "why": "It failed again: 3 died."}


async def test_it_holds_while_those_that_stumble_may_be_about_to_die(blank: Screen) -> None:
    plan = {"stopAfter": 3}

    assert await decide(blank, plan, redriven=5, succeeded=1, died=1, stumbling=2) == {
        "act": "hold"
    }
    after = await decide(blank, plan, redriven=5, succeeded=2, died=1, stumbling=1)
    assert after == {"act": "redrive", "number": 5}


async def test_it_is_done_when_all_have_come_to_their_end(blank: Screen) -> None:
    assert await decide(blank, {}, redriven=10, succeeded=9) == {"act": "wait"}
    assert await decide(blank, {}, redriven=10, succeeded=10) == {"act": "done"}
    assert await decide(blank, {"total": 0}) == {"act": "done"}


async def test_a_diff_keeps_what_stayed_and_tells_what_changed(blank: Screen) -> None:
    script = "({diff}, [a, b]) => diff(a, b).map(({op, line}) => op + line)"

    changed = await blank.module("workbench/diff.js", script, ["a\nb\nc\nd", "a\nx\nc\nd\ne"])
    same = await blank.module("workbench/diff.js", script, ["a\nb", "a\nb"])
    huge = await blank.module(
        "workbench/diff.js",
        "({diff}, n) => diff('a\\n'.repeat(n), 'b\\n'.repeat(n)).length",
        3_000,
    )

    assert changed == [" a", "-b", "+x", " c", " d", "+e"]
    assert same == [" a", " b"]
    assert huge == 6_001


JSON = '{"a\\"}":{"x":[1, {"y":"],"}]} ,"n":-0.10e+5,"payload":{"b":9007199254740993},"e":[]}'


async def test_json_is_taken_apart_and_set_out_without_reading_its_numbers(blank: Screen) -> None:
    members = await blank.module(
        "parts/jsontext.js", "({members}, text) => [...members(text)]", JSON
    )
    again = await blank.module(
        "parts/jsontext.js", "({compact, pretty}, text) => compact(pretty(text))", JSON
    )
    lines = await blank.module(
        "parts/jsontext.js", "({pretty}, text) => pretty(text)", '{"a":[1,{}],"b":"x: {"}'
    )

    assert members == [
        ['a"}', '{"x":[1, {"y":"],"}]}'],
        ["n", "-0.10e+5"],
        ["payload", '{"b":9007199254740993}'],
        ["e", "[]"],
    ]
    assert again == JSON.replace("[1, {", "[1,{").replace("} ,", "},")
    assert lines == '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": "x: {"\n}'


@pytest.mark.parametrize(
    ("text", "said"), [("{", "This is not JSON"), ("[]", "JSON object"), ("null", "JSON object")]
)
async def test_what_is_no_payload_is_said(blank: Screen, text: str, said: str) -> None:
    assert said in await blank.module("parts/jsontext.js", "({fault}, text) => fault(text)", text)


async def test_events_that_come_in_pieces_are_read_whole(blank: Screen) -> None:
    pieces = [
        ": following\n\neve",
        'nt: task\ndata: {"a":',
        "1}\n\nevent: lagged\n",
        "data: {}\n\n",
    ]
    script = "({reader}, pieces) => { const read = reader(); return pieces.map((p) => read(p)); }"

    events = await blank.module("parts/sse.js", script, pieces)

    assert events == [
        [],
        [],
        [{"name": "task", "data": {"a": 1}}],
        [{"name": "lagged", "data": {}}],
    ]


async def test_an_event_that_comes_late_does_not_undo_a_later_one(blank: Screen) -> None:
    happened = [
        {"taskId": "t", "state": "succeeded", "at": "2026-01-01T00:00:00.490921Z"},
        {"taskId": "t", "state": "queued", "at": "2026-01-01T00:00:00.49Z"},
        {"taskId": "u", "state": "queued", "at": "2026-01-01T00:00:01Z"},
        {"taskId": "u", "state": "running", "at": "2026-01-01T00:00:01.000001Z"},
    ]
    script = "({latest}, events) => [...latest(events).values()].map(({state}) => state)"

    assert await blank.module("parts/table.js", script, happened) == ["succeeded", "running"]


async def test_waits_and_runs_are_measured_from_events(blank: Screen) -> None:
    happened = [
        {"taskId": "t", "state": state, "at": f"2026-01-01T00:00:0{at}Z"}
        for state, at in (("queued", 0), ("running", 2), ("retrying", 3), ("running", 6),
                          ("succeeded", 9))
    ]  # fmt: skip
    script = """({collector}, events) => {
        const found = collector(); events.forEach(found.hear); return found.take(); }"""

    measured = await blank.module("parts/latency.js", script, happened)

    assert measured == {
        "wait": {"p50": 2, "p95": 2, "n": 1},
        "run": {"p50": 3, "p95": 3, "n": 2},
    }


async def test_what_dead_letters_have_in_common_comes_first(blank: Screen) -> None:
    letters = [
        {"type": "mail", "payload": f'{{"id":{number},"customer":{number % 3},"a":"x","l":[1]}}'}
        for number in range(9)
    ]

    found = await blank.module(
        "workbench/breakdown.js", "({breakdown}, letters) => breakdown(letters)", letters
    )

    assert [one["name"] for one in found] == ["type", "payload.a", "payload.customer"]
    assert found[2]["values"][0] == {"value": "0", "number": 3}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12.3 ms"), (3.44, "3.44 s"), (59.97, "1 min"), (65, "1 min 5 s"),
     (7_500, "2 h 5 min"), (90_000, "1 d 1 h")],
)  # fmt: skip
async def test_a_length_of_time_reads_well(blank: Screen, seconds: float, text: str) -> None:
    said = await blank.module("parts/format.js", "({duration}, s) => duration(s)", seconds)

    assert said == text


async def test_a_place_reads_back_as_it_was_written(blank: Screen) -> None:
    script = """({address, placeOf}, [parts, query]) => {
        const place = placeOf(address(parts, query));
        return [place.page, place.rest, Object.fromEntries(place.query)]; }"""

    place = await blank.module(
        "parts/router.js", script, [["task", "a/b?c#d %"], {"type": "x&y", "state": ""}]
    )

    assert place == ["task", ["a/b?c#d %"], {"type": "x&y"}]
