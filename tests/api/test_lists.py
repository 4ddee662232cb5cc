"""`GET /tasks` and `GET /dead-letters`: pages, filters, and what an item has."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from tests.api.checks import parameters
from tests.conformance.stage import (
    BOOM,
    OTHER,
    Clock,
    Stage,
    ended,
    follow_up,
    submission,
)
from unlost import policy
from unlost.api.answers import rendering
from unlost.api.openapi.schemas.tasks import ItemBody
from unlost.ledger.values import Page, Query
from unlost.task import Event, Outcome, Record

PAGE = 8 * 1024 * 1024

SMALL = {
    "taskId", "type", "state", "attemptCount", "maxRetries", "error", "submittedAt", "updatedAt",
    "nextAttemptAt", "redriveCount",
}  # fmt: skip


async def listed(api: httpx.AsyncClient, path: str, **query: str) -> list[dict[str, Any]]:
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"tasks", "nextCursor"}
    tasks: list[dict[str, Any]] = answer.json()["tasks"]
    return tasks


async def ids(api: httpx.AsyncClient, path: str = "/tasks", **query: str) -> list[str]:
    return [task["taskId"] for task in await listed(api, path, **query)]


async def submitted(stage: Stage, clock: Clock, *task_ids: str, **options: Any) -> None:
    for task_id in task_ids:
        await stage.submit(task_id, **options)
        clock.advance(1)


async def test_the_newest_comes_first_and_small(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await submitted(stage, clock, "a", "b", "c")

    tasks = await listed(api, "/tasks")

    assert [task["taskId"] for task in tasks] == ["c", "b", "a"]
    assert all(task.keys() == SMALL for task in tasks)


async def test_page_by_page_each_comes_once_and_the_end_is_null(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await submitted(stage, clock, *(f"t{number}" for number in range(7)))
    seen: list[str] = []
    query = {"limit": "3"}
    while True:
        page = (await api.get("/tasks", params=query)).json()
        seen += [task["taskId"] for task in page["tasks"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]

    assert seen == [f"t{number}" for number in reversed(range(7))]


async def test_the_default_page_has_50(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.submit(*(f"t{number}" for number in range(60)))

    assert len(await listed(api, "/tasks")) == 50
    assert len(await listed(api, "/tasks", limit="1000")) == 60


async def test_filters_mean_and(api: httpx.AsyncClient, stage: Stage, clock: Clock) -> None:
    await submitted(stage, clock, "a+1", "a 2", "b1", type="x")
    await submitted(stage, clock, "a+4", "b/5")
    await stage.succeed(await stage.run("a+1"))

    assert await ids(api, type="x") == ["b1", "a 2", "a+1"]
    assert await ids(api, state="succeeded") == ["a+1"]
    assert await ids(api, idPrefix="a+") == ["a+4", "a+1"]
    assert await ids(api, idPrefix="a ") == ["a 2"]
    assert await ids(api, idPrefix="") == ["b/5", "a+4", "b1", "a 2", "a+1"]
    assert await ids(api, idPrefix="b", type="default") == ["b/5"]
    assert await ids(api, idPrefix="a", state="queued", type="x") == ["a 2"]


async def test_since_is_from_then_on_and_until_before_then(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await submitted(stage, clock, "a", "b", "c")
    at = (await api.get("/tasks/b")).json()["submittedAt"]

    assert await ids(api, since=at) == ["c", "b"]
    assert await ids(api, until=at) == ["a"]
    shifted = "2023-11-15T00:13:21+02:00"  # as of "b", elsewhere
    assert await ids(api, since=shifted) == ["c", "b"]
    unencoded = await api.get(f"/tasks?until={shifted}")
    assert [task["taskId"] for task in unencoded.json()["tasks"]] == ["a"]


async def test_include_names_the_big_members(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.bury("t", payload='{"big":123456789012345678901234567890}')

    [plain] = await listed(api, "/tasks")
    assert plain["error"] == {"type": BOOM.type, "message": BOOM.message}
    [one] = await listed(api, "/tasks", include="payload")
    assert one.keys() == SMALL | {"payload"}
    assert one["payload"] == {"big": 123456789012345678901234567890}
    [attempts] = await listed(api, "/tasks", include="attempts")
    assert attempts.keys() == SMALL | {"attempts"}
    assert attempts["attempts"][0]["error"] == {"type": BOOM.type, "message": BOOM.message}
    assert "traceback" not in attempts["error"]
    [traced] = await listed(api, "/tasks", include="traceback")
    assert traced.keys() == SMALL
    assert traced["error"]["traceback"] == BOOM.traceback
    [everything] = await listed(api, "/tasks", include="traceback,result,payload,attempts")
    assert everything.keys() == SMALL | {"payload", "result", "attempts"}
    assert everything["attempts"][0]["error"]["traceback"] == BOOM.traceback
    assert everything["result"] is None


async def test_a_key_is_shown_where_there_is_one(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.submit("of ann", key="ann")
    await stage.submit("nobody's")
    await stage.bury("dead")

    found = {task["taskId"]: task.get("key") for task in await listed(api, "/tasks")}
    assert found == {"of ann": "ann", "nobody's": None, "dead": None}
    [dead] = await listed(api, "/dead-letters")
    assert "key" not in dead


async def test_a_page_of_large_payloads_ends_early_and_goes_on(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    names = [f"t{number}" for number in range(160)]
    await stage.submit(*names, payload='{"x":"' + "a" * 250 * 1024 + '"}')

    query = {"limit": "1000", "include": "payload"}
    answers = [await api.get("/tasks", params=query)]
    while (cursor := answers[-1].json()["nextCursor"]) is not None:
        answers.append(await api.get("/tasks", params=query | {"cursor": cursor}))

    sizes = [len(answer.content) for answer in answers]
    assert all(PAGE - 260 * 1024 < size <= PAGE for size in sizes[:-1])
    assert len(sizes) == 5
    pages = [answer.json() for answer in answers]
    seen = [task["taskId"] for page in pages for task in page["tasks"]]
    assert len(seen) == 160
    assert set(seen) == set(names)


async def test_a_page_of_small_members_that_are_many_ends_early_too(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    error = policy.error("Boom", "\u0001" * 4096)  # six bytes each, as JSON
    await stage.submit(*(f"t{number}" for number in range(400)))
    for attempt in await stage.claim(400):
        await stage.die(attempt, error)

    first = await api.get("/dead-letters?limit=400")
    rest = await api.get(f"/dead-letters?limit=400&cursor={first.json()['nextCursor']}")

    assert PAGE - 30_000 < len(first.content) <= PAGE
    assert len(first.json()["tasks"]) + len(rest.json()["tasks"]) == 400
    assert rest.json()["nextCursor"] is None


async def test_no_more_is_read_for_a_page_than_it_holds_and_each_task_is_encoded_once(
    api: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = json.dumps({"x": "a" * 250_000})
    await stage.submit(*(f"t{number}" for number in range(60)), payload=payload)
    queries: list[Query] = []
    encoded: list[str] = []
    page, item = stage.ledger.page, rendering.item

    async def spied(query: Query) -> Page:
        queries.append(query)
        return await page(query)

    def counted(record: Record, *arguments: Any) -> ItemBody:
        encoded.append(record.task_id)
        return item(record, *arguments)

    monkeypatch.setattr(stage.ledger, "page", spied)
    monkeypatch.setattr(rendering, "item", counted)
    shown = (await api.get("/tasks?limit=1000&include=payload")).json()["tasks"]

    assert max(query.room for query in queries) <= 1024 * 1024
    assert len(encoded) == len(set(encoded)) <= len(shown) + 5


async def test_a_page_of_small_payloads_is_full(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.submit(*(f"t{number}" for number in range(260)))

    page = (await api.get("/tasks?limit=250&include=payload,attempts")).json()

    assert len(page["tasks"]) == 250
    assert len(await listed(api, "/tasks", limit="250", cursor=page["nextCursor"])) == 10


async def test_dead_letters_are_listed_by_death_and_error(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await submitted(stage, clock, "alive", "late", "early", type="x")
    for task_id, error in (("early", BOOM), ("late", OTHER)):
        await stage.die(await stage.run(task_id), error)
        clock.advance(1)

    tasks = await listed(api, "/dead-letters")
    assert [task["taskId"] for task in tasks] == ["late", "early"]
    assert all(task.keys() == SMALL for task in tasks)
    assert await ids(api, "/dead-letters", error="Boom") == ["early"]
    assert await ids(api, "/dead-letters", error=OTHER.fingerprint) == ["late"]
    assert await ids(api, "/dead-letters", error="Nothing") == []
    assert await ids(api, "/dead-letters", type="x", limit="1") == ["late"]
    assert await ids(api, "/dead-letters", type="y") == []
    [full, _] = await listed(api, "/dead-letters", include="payload,attempts")
    assert full.keys() == SMALL | {"payload", "attempts"}


BAD = [
    ("/tasks?limit=0", "limit"), ("/tasks?limit=1001", "limit"), ("/tasks?limit=", "limit"),
    ("/tasks?limit=5.0", "limit"), ("/tasks?limit=1e1", "limit"), ("/tasks?limit=-1", "limit"),
    ("/tasks?limit=%2B5", "limit"), ("/tasks?limit=5%20", "limit"),
    ("/tasks?limit=\u0665", "limit"),
    ("/tasks?limit=" + "9" * 5000, "limit"), ("/tasks?limit", "limit"),
    ("/tasks?limit=5&limit=5", "limit"), ("/tasks?limit=0x5", "limit"),
    ("/tasks?state=done", "state"), ("/tasks?state=", "state"), ("/tasks?state=QUEUED", "state"),
    ("/tasks?state=queued,dead", "state"), ("/tasks?state=queued&state=dead", "state"),
    ("/tasks?cursor=nonsense", "cursor"), ("/tasks?cursor=", "cursor"),
    ("/tasks?cursor=%00", "cursor"), ("/tasks?cursor=😀", "cursor"),
    ("/tasks?include=all", "include"), ("/tasks?include=", "include"),
    ("/tasks?include=payload,", "include"), ("/tasks?include=Payload", "include"),
    ("/tasks?since=yesterday", "since"), ("/tasks?since=2025-01-01", "since"),
    ("/tasks?since=1700000000", "since"), ("/tasks?until=2025-13-01T00:00:00Z", "until"),
    ("/tasks?until=", "until"), ("/tasks?type=", "type"), ("/tasks?type=a%0Ab", "type"),
    ("/tasks?type=" + "x" * 101, "type"), ("/tasks?idPrefix=" + "x" * 256, "idPrefix"),
    ("/tasks?idPrefix=%ff", "idPrefix"), ("/tasks?idPrefix=50%", "idPrefix"),
    ("/tasks?nope=1", "nope"), ("/tasks?Limit=1", "Limit"), ("/tasks?id_prefix=a", "id_prefix"),
    ("/tasks?error=Boom", "error"), ("/tasks?=1", ""),
    ("/dead-letters?state=dead", "state"), ("/dead-letters?idPrefix=a", "idPrefix"),
    ("/dead-letters?limit=0", "limit"), ("/dead-letters?cursor=nonsense", "cursor"),
    ("/dead-letters?error=", "error"), ("/dead-letters?nope", "nope"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "parameter"), BAD, ids=[path[:60] for path, _ in BAD])
async def test_a_bad_or_unknown_parameter_is_422(
    api: httpx.AsyncClient, path: str, parameter: str
) -> None:
    assert parameters(await api.get(path)) == [parameter]


async def test_all_bad_parameters_are_named_at_once(api: httpx.AsyncClient) -> None:
    answer = await api.get("/tasks?limit=0&state=x&nope=1&since=2")

    assert parameters(answer) == ["limit", "nope", "since", "state"]


async def test_a_cursor_of_one_list_is_none_of_the_other(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.bury("a", "b")
    cursor = (await api.get("/tasks?limit=1")).json()["nextCursor"]

    assert parameters(await api.get("/dead-letters", params={"cursor": cursor})) == ["cursor"]


async def test_what_followed_from_a_task_is_listed_and_names_it(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("a", type="m")
    (a,) = await stage.claim()
    end = ended(a, Outcome.SUCCEEDED, Event.SUCCEED)
    tasks = (submission("x"), submission("y", type="m"))
    await stage.ledger.settle([replace(end, submit=tuple(follow_up(a, one) for one in tasks))])

    found = await listed(api, "/tasks", parent="a")
    assert [(task["taskId"], task["parent"]) for task in found] == [("y", "a"), ("x", "a")]
    assert await ids(api, parent="a", type="m") == ["y"]
    assert await ids(api, parent="x") == []
    assert (await api.get("/tasks/x")).json()["parent"] == "a"
    assert "parent" not in (await api.get("/tasks/a")).json()
    assert (await api.get("/tasks?parent=")).status_code == 422
    assert (await api.get("/dead-letters?parent=a")).status_code == 422
