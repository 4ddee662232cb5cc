"""Schedules: set, shown, paused, run by hand, deleted."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from tests.api.checks import parameters, pointers, problem
from tests.conformance.stage import Clock, Stage
from unlost.api.app import create_app
from unlost.schedule import schedule as schedules
from unlost.schedule.planned import tzdata
from unlost.schedule.schedule import Move, Moved, stepped
from unlost.settings import Settings
from unlost.task import SECOND
from unlost.times import rfc3339
from unlost.upkeep.scheduler import Scheduler

PATH = "/schedules/nightly"
BODY: dict[str, Any] = {"every": 10, "type": "mail", "payload": {"n": 1}}


def body(**members: Any) -> dict[str, Any]:
    """What asks for a schedule; a member that is None is left out."""
    return {name: value for name, value in (BODY | members).items() if value is not None}


async def put(api: httpx.AsyncClient, status: int = 200, **members: Any) -> dict[str, Any]:
    answer = await api.put(PATH, json=body(**members))
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def show(api: httpx.AsyncClient, include: str = "") -> dict[str, Any]:
    answer = await api.get(PATH, params={"include": include} if include else {})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def times(clock: Clock, *seconds: float) -> list[str]:
    return [rfc3339(clock.now + round(one * SECOND)) for one in seconds]


async def look(stage: Stage) -> None:
    """Make what is due."""
    await Scheduler(stage.ledger, Random(1)).look()


async def test_a_schedule_is_made_and_shown_whole(api: httpx.AsyncClient, clock: Clock) -> None:
    answer = await api.put(PATH, json=BODY)
    assert answer.status_code == 201
    assert answer.headers["location"] == PATH
    assert answer.json() == {
        "id": "nightly", "every": 10, "timezone": "UTC", "type": "mail", "payload": {"n": 1},
        "priority": 0, "missed": "last", "graceSeconds": 60, "overlap": "allow", "paused": False,
        "next": times(clock, 10, 20, 30, 40, 50), "last": None, "due": 0, "made": 0, "skipped": 0,
        "tzdata": tzdata(), "createdAt": rfc3339(clock.now), "updatedAt": rfc3339(clock.now),
        "warnings": [],
    }  # fmt: skip
    assert await show(api) == answer.json()


async def test_all_that_it_may_say_is_kept(api: httpx.AsyncClient) -> None:
    asked = {
        "cron": "0 2 * * *", "timezone": "Europe/Berlin", "priority": -3, "maxRetries": 7,
        "timeoutSeconds": 2.5, "key": "ann", "missed": "all", "graceSeconds": 0.5,
        "overlap": "allow", "paused": True,
    }  # fmt: skip
    found = await put(api, 201, every=None, **asked)
    assert asked.items() <= found.items()
    assert found["next"] == []


async def test_what_changes_nothing_does_nothing(
    api: httpx.AsyncClient, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made = await put(api, 201)
    clock.advance(3)
    assert await put(api, every=10.0, payload={"n": 1.0}, priority=0, paused=False) == made
    assert [record.message for record in caplog.records].count("api.acted") == 1


async def test_a_change_of_its_payload_leaves_its_times_and_one_of_its_times_begins_anew(
    api: httpx.AsyncClient, clock: Clock
) -> None:
    made = await put(api, 201)
    clock.advance(3)
    changed = await put(api, payload={"n": 2}, type="sms")
    assert (changed["payload"], changed["type"], changed["next"]) == ({"n": 2}, "sms", made["next"])
    assert changed["updatedAt"] == rfc3339(clock.now)
    assert (await put(api, every=60))["next"][0] == times(clock, 37)[0]


async def test_a_tick_has_its_schedule_and_its_time(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await put(api, 201)
    clock.advance(10)
    await look(stage)
    [time] = times(clock, 0)
    task_id = "nightly@2023-11-14T22:13:30Z"
    found = await show(api, "ticks")
    assert found["last"] == {"time": time, "taskId": task_id, "reason": None}
    assert (found["due"], found["made"], found["skipped"]) == (1, 1, 0)
    assert found["ticks"] == [found["last"]]
    task = (await api.get(f"/tasks/{task_id}")).json()
    assert task["schedule"] == {"id": "nightly", "time": time}
    [item] = (await api.get("/tasks")).json()["tasks"]
    assert item["schedule"] == task["schedule"]


async def test_skipped_times_say_why(api: httpx.AsyncClient, stage: Stage, clock: Clock) -> None:
    await put(api, 201, missed="skip", graceSeconds=5)
    clock.advance(26)
    await look(stage)
    reasons = [tick["reason"] for tick in (await show(api, "ticks"))["ticks"]]
    assert reasons == ["missed", "missed"]
    assert "ticks" not in await show(api)


async def test_a_pause_holds_until_it_is_resumed_and_nothing_is_missed(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await put(api, 201)
    for _ in range(2):  # a call may come twice
        paused = await api.post(f"{PATH}/pause", json={"by": "ann", "reason": "why"})
        assert paused.status_code == 200
        assert (paused.json()["paused"], paused.json()["next"]) == (True, [])
    assert (await put(api, priority=1))["paused"]
    clock.advance(3600)
    await look(stage)
    for _ in range(2):
        resumed = await api.post(f"{PATH}/resume")
        assert resumed.json()["next"][0] == times(clock, 10)[0]
    assert (await show(api))["due"] == 0


async def test_it_is_run_by_hand(api: httpx.AsyncClient, clock: Clock) -> None:
    await put(api, 201, priority=4, paused=True)
    first = await api.post(f"{PATH}/run", json={"by": "ann"})
    assert first.status_code == 202
    assert first.json()["taskId"] == "nightly@2023-11-14T22:13:20.000Z!run"
    assert (await api.get(first.headers["location"])).json() == first.json()
    assert first.json()["payload"] == {"n": 1}
    assert first.json()["schedule"] == {"id": "nightly", "time": rfc3339(clock.now)}
    second = await api.post(f"{PATH}/run")  # within the same millisecond
    assert second.status_code == 202
    assert second.json()["taskId"] != first.json()["taskId"]
    assert (await show(api))["due"] == 0


async def test_a_run_that_comes_twice_under_one_id_is_one(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await put(api, 201)
    first = await api.post(f"{PATH}/run", json={"taskId": "mine"})
    assert first.status_code == 202
    await put(api, payload={"n": 2})
    again = await api.post(f"{PATH}/run", json={"taskId": "mine"})
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    await stage.submit("theirs")
    problem(await api.post(f"{PATH}/run", json={"taskId": "theirs"}), 409)
    assert pointers(await api.post(f"{PATH}/run", json={"taskId": ""})) == ["#/taskId"]


async def test_a_run_gets_no_id_that_a_schedule_gives_to_its_ticks(api: httpx.AsyncClient) -> None:
    await put(api, 201)
    said = problem(
        await api.post(f"{PATH}/run", json={"taskId": "nightly@2030-01-01T00:00:00Z"}), 409
    )
    assert "one that a schedule gives to its own tasks" in said["detail"]
    made = (await api.post(f"{PATH}/run")).json()["taskId"]
    assert (await api.post(f"{PATH}/run", json={"taskId": made})).status_code == 200
    other = {"taskId": "other@2030-01-01T00:00:00Z"}
    assert (await api.post(f"{PATH}/run", json=other)).status_code == 202


async def test_a_deleted_schedule_is_gone_and_its_tasks_stay(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await put(api, 201)
    clock.advance(10)
    await look(stage)
    for _ in range(2):  # a call may come twice
        assert (await api.delete(f"{PATH}?by=ann")).status_code == 204
    problem(await api.get(PATH), 404)
    for call in ("run", "pause", "resume"):
        problem(await api.post(f"{PATH}/{call}"), 404)
    assert (await api.get("/schedules")).json() == {"schedules": [], "nextCursor": None}
    assert len((await api.get("/tasks")).json()["tasks"]) == 1


async def test_schedules_are_listed_by_id_page_by_page(api: httpx.AsyncClient) -> None:
    names = [f"s{number}" for number in range(5)]
    for name in reversed(names):
        assert (await api.put(f"/schedules/{name}", json=BODY)).status_code == 201
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await api.get("/schedules", params={"limit": 2, **cursor})).json()
        seen += [one["id"] for one in page["schedules"]]
        assert all("payload" not in one and len(one["next"]) == 1 for one in page["schedules"])
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == names
    whole = (await api.get("/schedules?include=payload")).json()
    assert [one["payload"] for one in whole["schedules"]] == [{"n": 1}] * 5
    assert whole["nextCursor"] is None
    problem(await api.get("/schedules?limit=0"), 422)


@pytest.mark.parametrize("cursor", ["x", "s1", "after:", "after:a b", ""])
async def test_what_was_no_cursor_of_schedules_is_refused(
    api: httpx.AsyncClient, cursor: str
) -> None:
    answer = await api.get("/schedules", params={"cursor": cursor})
    assert parameters(answer) == ["cursor"]


async def test_a_dry_run_shows_what_would_be_and_changes_nothing(api: httpx.AsyncClient) -> None:
    dry = await api.put(f"{PATH}?dryRun=true", json=body(every=None, cron="0 0 1 * 1"))
    assert dry.status_code == 200
    assert len(dry.json()["next"]) == 5
    assert [one["kind"] for one in dry.json()["warnings"]] == ["either-day"]
    problem(await api.get(PATH), 404)


WRONG: list[tuple[dict[str, Any], set[str]]] = [
    ({"every": None}, {"#/cron"}),
    ({"cron": "* * * * *"}, {"#/cron"}),
    ({"every": None, "cron": "* * * * * *"}, {"#/cron"}),
    ({"every": None, "cron": "0 0 30 2 *"}, {"#/cron"}),
    ({"every": None, "cron": "0 " * 5_000}, {"#/cron"}),
    ({"every": 0}, {"#/every"}),
    ({"every": 1.5}, {"#/every"}),
    ({"timezone": "../etc/passwd"}, {"#/timezone"}),
    ({"timezone": "localtime"}, {"#/timezone"}),
    ({"type": "unlost.webhook"}, {"#/type"}),
    ({"type": None, "payload": None}, {"#/type", "#/payload"}),
    ({"payload": []}, {"#/payload"}),
    ({"priority": 101, "maxRetries": -1, "timeoutSeconds": 0},
     {"#/priority", "#/maxRetries", "#/timeoutSeconds"}),
    ({"missed": "some", "overlap": "maybe", "paused": 1},
     {"#/missed", "#/overlap", "#/paused"}),
    ({"missed": "all", "overlap": "skip"}, {"#/overlap"}),
    ({"graceSeconds": -1, "key": "", "callbackUrl": "https://example.com/"},
     {"#/graceSeconds", "#/key", "#/callbackUrl"}),
    ({"delaySeconds": 3, "runAt": "2030-01-01T00:00:00Z"}, {"#/delaySeconds", "#/runAt"}),
]  # fmt: skip


@pytest.mark.parametrize(("members", "where"), WRONG)
async def test_bad_members_are_refused_and_named(
    api: httpx.AsyncClient, members: dict[str, Any], where: set[str]
) -> None:
    assert set(pointers(await api.put(PATH, json=body(**members)))) == where
    problem(await api.get(PATH), 404)


async def test_other_bad_calls(api: httpx.AsyncClient) -> None:
    problem(await api.put(PATH, content="{"), 400)
    problem(await api.put(PATH, json=body(payload={"n": "x" * 300_000})), 413)
    problem(await api.put("/schedules/ü", json=BODY), 404)
    problem(await api.put(f"/schedules/{'x' * 201}", json=BODY), 404)
    problem(await api.put(f"{PATH}?dryRun=1", json=BODY), 422)
    for name in ("%2E", "%2E%2E"):
        problem(await api.put(f"/schedules/{name}", json=BODY), 422)
    problem(await api.post(PATH, json=BODY), 405)


async def test_clients_get_no_id_of_a_schedule_that_exists(api: httpx.AsyncClient) -> None:
    own = "nightly@2030-01-01T00:00:00Z"
    earlier = await api.post("/tasks", json={"taskId": own, "payload": {}})
    assert earlier.status_code == 202
    await put(api, 201)
    for task_id in (own[:-3] + "30Z", own + "!2", "nightly@2030-01-01T00:00:00.000Z!run"):
        said = problem(await api.post("/tasks", json={"taskId": task_id, "payload": {}}), 409)
        assert "one that a schedule gives to its own tasks" in said["detail"]
    again = await api.post("/tasks", json={"taskId": own, "payload": {}})
    assert again.status_code == 200
    tasks = [{"taskId": name, "payload": {}} for name in ("a", own[:-3] + "30Z", own, "b@c", "a")]
    tasks.append({"taskId": "other@2030-01-01T00:00:00Z", "payload": {}})
    batch = (await api.post("/tasks/batch", json={"tasks": tasks})).json()
    assert [one["status"] for one in batch["results"]] == [202, 409, 200, 202, 200, 202]
    await api.delete(PATH)
    answer = await api.post("/tasks", json={"taskId": own[:-3] + "30Z", "payload": {}})
    assert answer.status_code == 202


async def test_a_conflict_tells_no_one_whether_there_is_such_a_schedule(
    api: httpx.AsyncClient,
) -> None:
    await put(api, 201)
    other = "other@2030-01-01T00:00:00Z"
    await api.post("/tasks", json={"taskId": other, "payload": {}})
    of_a_schedule, of_a_task = [
        problem(await api.post("/tasks", json={"taskId": task_id, "payload": {"n": 1}}), 409)
        for task_id in ("nightly@2030-01-01T00:00:00Z", other)
    ]
    assert of_a_schedule["detail"] == of_a_task["detail"]


@pytest.mark.parametrize("late", [5, 25])
@pytest.mark.parametrize(
    ("cron", "timezone"), [("0 0 * * *", "Mars/Olympus"), ("0 0 * * X", "UTC")]
)
async def test_one_whose_times_are_not_known_any_more_is_paused_mended_and_not_resumed(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, late: int, cron: str, timezone: str
) -> None:
    await put(api, 201)
    _, made = await stage.ledger.schedule("nightly")
    assert made is not None
    lost = replace(made.plan, every=None, cron=cron, timezone=timezone)
    move = Move(stepped(made, plan=lost), made.revision, new_plan=True)
    assert await stage.ledger.move_schedules([move]) == [Moved.DONE]
    clock.advance(late)
    found = await show(api)
    assert (len(found["next"]), found["timezone"], found["warnings"]) == (1, timezone, [])
    passed = int(late > 10)
    paused = (await api.post(f"{PATH}/pause")).json()
    assert (paused["next"], paused["due"], paused["skipped"]) == ([], passed, passed)
    said = problem(await api.post(f"{PATH}/resume"), 409)
    assert said["detail"].startswith("its times cannot be found any more: ")
    problem(await api.put(PATH, json=body(every=None, cron=cron, timezone=timezone)), 422)
    mended = await put(api, every=None, cron="0 0 * * *", timezone="Europe/Berlin", paused=False)
    assert (len(mended["next"]), mended["due"]) == (5, passed)


async def test_a_change_mends_one_whose_times_are_not_known_any_more(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await put(api, 201)
    _, made = await stage.ledger.schedule("nightly")
    assert made is not None
    lost = replace(made.plan, every=None, cron="0 0 * * *", timezone="Mars/Olympus")
    move = Move(stepped(made, plan=lost), made.revision, new_plan=True)
    assert await stage.ledger.move_schedules([move]) == [Moved.DONE]
    clock.advance(35)
    await put(api, every=10)
    found = await show(api, include="ticks")
    assert (found["next"][0], found["due"]) == (times(clock, 5)[0], 1)
    assert [tick["reason"] for tick in found["ticks"]] == ["changed"]


async def test_there_are_not_more_than_so_many(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for home in ("memory.schedules", "sqlite.schedules.scheduling"):
        monkeypatch.setattr(f"unlost.ledger.{home}.MOST", 1)
    await put(api, 201)
    problem(await api.put("/schedules/other", json=BODY), 409)
    await put(api, priority=2)
    assert schedules.MOST == 10_000


async def test_changes_beside_ticks_are_done_and_lose_none(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await put(api, 201)
    for number in range(1, 20):
        clock.advance(10)
        await asyncio.gather(put(api, payload={"n": number}), look(stage))
    found = await show(api)
    assert (found["payload"], found["due"], found["made"]) == ({"n": 19}, 19, 19)


async def test_masked_values_of_a_payload_that_comes_back_are_kept(
    stage: Stage, clock: Clock
) -> None:
    app = create_app(stage.ledger, Settings(redact=("/card",)), clock)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        made = await put(api, 201, payload={"card": "4111", "n": 1})
        assert made["payload"] == {"card": "•••", "n": 1}
        assert await put(api, payload=made["payload"]) == made
        await put(api, payload={"card": "•••", "n": 2})
    _, kept = await stage.ledger.schedule("nightly")
    assert kept is not None
    assert kept.plan.payload == '{"card":"4111","n":2}'
