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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def blank(browser: Browser, shop: Service) -> AsyncIterator[Screen]:
    """Any page of the console: the modules do not look at it."""
    async with screen_of(browser, address_of(shop)) as screen:
        await screen.open(heading="Overview")
        yield screen


@pytest.mark.parametrize(
    ("answers", "plan", "words"),
    [
        ({"how": "canary", "rate": "10", "tolerate": "0"},
         {"canary": 1, "tolerate": 0, "ratePerSecond": 10},
         "Redrive 1 as canary, then 1,999 at 10 a second"),
        ({"how": "guarded", "rate": "", "tolerate": "2.9"}, {"canary": 0, "tolerate": 2},
         "Redrive 2,000 tasks"),
        ({"how": "all", "rate": "0.5", "tolerate": "3"},
         {"canary": 0, "tolerate": None, "ratePerSecond": 0.5},
         "Redrive 2,000 tasks at 0.5 a second"),
        ({}, {"canary": 1, "tolerate": 0}, "Redrive 1 as canary, then 1,999"),
    ],
)  # fmt: skip
async def test_what_is_chosen_is_what_the_service_is_asked_for(
    blank: Screen, answers: dict[str, Any], plan: dict[str, Any], words: str
) -> None:
    found = await blank.module(
        "workbench/redrive.js", "({planOf}, given) => planOf(given)", answers
    )
    assert found == plan
    button = "({planOf, inWords}, given) => inWords(planOf(given), 2000)"
    assert await blank.module("workbench/redrive.js", button, answers) == words


async def test_how_a_redrive_stands_is_a_sentence(blank: Screen) -> None:
    sums = {"selected": 1_200, "redriven": 3, "succeeded": 1, "diedAgain": 1, "cancelled": 0,
            "gone": 0, "underWay": 1, "left": 1_197, "why": None, "state": "running"}  # fmt: skip

    async def said(**more: Any) -> str:
        text: str = await blank.module(
            "workbench/standing.js", "({standing}, given) => standing(given)", {**sums, **more}
        )
        return text

    going = "3 of 1,200 redriven · 1 succeeded · 1 died again · 1 on their way"
    again = "Once the cause is gone, another redrive takes them."
    assert await said() == f"{going}."
    assert await said(selected=None) == "It counts what there is to redrive."
    assert await said(state="canary", succeeded=0, diedAgain=0) == (
        "The canary is on its way; the others wait for it."
    )
    assert await said(state="stopped", why="1 died again") == (
        f"{going}. Stopped: 1 died again. 1,197 of them are left dead. {again}"
    )
    assert await said(state="stopped", why="stopped by ann", gone=1, left=1) == (
        f"{going} · 1 taken by others. Stopped by ann. 1 of them is left dead. {again}"
    )
    assert await said(state="stopped", why="1 died again", left=0) == (
        f"{going}. Stopped: 1 died again. 0 of them are left dead."
    )
    assert await said(state="done", cancelled=2) == f"{going} · 2 cancelled. Done."


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
