"""When a schedule would be due, asked before there is one."""

from __future__ import annotations

from datetime import datetime

import httpx
import pytest

from tests.api.checks import parameters
from tests.conformance.stage import Clock
from unlost.schedule import zones
from unlost.task import SECOND


@pytest.fixture(autouse=True)
def _autumn(clock: Clock) -> None:
    clock.now = int(datetime.fromisoformat("2026-10-24T12:00:00Z").timestamp()) * SECOND


async def test_the_next_five_with_offsets_and_what_to_know(api: httpx.AsyncClient) -> None:
    asked = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    answer = await api.get("/schedule-times", params=asked)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["timezone"], told["tzdata"]) == ("Europe/Berlin", zones.version())
    assert [one["local"] for one in told["next"]] == [
        "2026-10-25T02:30:00+02:00",
        *(f"2026-10-{day}T02:30:00+01:00" for day in range(26, 30)),
    ]
    assert told["next"][0]["at"] == "2026-10-25T00:30:00.000000Z"
    assert [one["kind"] for one in told["warnings"]] == ["repeated", "skipped"]


async def test_an_interval_and_a_limit(api: httpx.AsyncClient) -> None:
    answer = await api.get("/schedule-times", params={"every": 86_400, "limit": 2})
    told = answer.json()
    assert told["warnings"] == []
    assert [one["local"][:10] for one in told["next"]] == ["2026-10-25", "2026-10-26"]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, ["cron"]),
        ({"cron": "* * * * *", "every": "5"}, ["cron"]),
        ({"cron": "60 * * * *", "timezone": "../UTC"}, ["timezone", "cron"]),
        ({"cron": "0 0 30 2 *"}, ["cron"]),
        ({"cron": "*" * 10_000}, ["cron"]),
        ({"every": "0"}, ["every"]),
        ({"every": "5", "limit": "101", "x": "1"}, ["limit", "x"]),
    ],
)
async def test_what_names_no_times(
    api: httpx.AsyncClient, asked: dict[str, str], named: list[str]
) -> None:
    assert parameters(await api.get("/schedule-times", params=asked)) == sorted(named)
