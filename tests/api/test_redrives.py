"""Redrives over HTTP: begun once, watched, stopped; each key sees those that are for its types."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.checks import parameters, pointers, problem
from tests.api.keyring import Of, buried
from tests.conformance.stage import BOOM, OTHER, Stage, ended
from unlost.redrive import MOST_UNDER_WAY
from unlost.task import Event, Outcome

MEMBERS = [
    "id", "state", "selected", "redriven", "succeeded", "diedAgain", "cancelled", "gone",
    "underWay", "left", "why", "by", "reason", "apiKey", "startedAt", "updatedAt",
]  # fmt: skip


async def begun(api: httpx.AsyncClient, status: int = 201, **body: Any) -> dict[str, Any]:
    answer = await api.post("/redrives", json=body)
    assert answer.status_code == status, answer.text
    redrive: dict[str, Any] = answer.json()
    must_add_up(redrive)
    if status == 201:
        assert answer.headers["location"] == f"/redrives/{redrive['id']}"
    return redrive


def must_add_up(redrive: dict[str, Any]) -> None:
    assert list(redrive) == MEMBERS
    ended = redrive["succeeded"] + redrive["diedAgain"] + redrive["cancelled"]
    assert redrive["redriven"] == ended + redrive["underWay"]
    if redrive["selected"] is not None:
        assert redrive["selected"] == redrive["redriven"] + redrive["gone"] + redrive["left"]


async def looked_at(api: httpx.AsyncClient, redrive_id: str) -> dict[str, Any]:
    redrive: dict[str, Any] = (await api.get(f"/redrives/{redrive_id}")).json()
    must_add_up(redrive)
    return redrive


async def bury_all(stage: Stage, *task_ids: str, type: str = "default") -> None:
    for task_id in task_ids:
        stage.clock.advance(1)
        await stage.bury(task_id, type=type)


async def test_it_begins_with_a_canary_and_goes_on_by_steps(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await bury_all(stage, *"abc")
    redrive = await begun(api, id="r:1", all=True, by="ann", reason="fixed")
    assert redrive == {
        "id": "r:1", "state": "canary", "selected": 3, "redriven": 1, "succeeded": 0,
        "diedAgain": 0, "cancelled": 0, "gone": 0, "underWay": 1, "left": 2, "why": None,
        "by": "ann", "reason": "fixed", "apiKey": None, "startedAt": redrive["startedAt"],
        "updatedAt": redrive["startedAt"],
    }  # fmt: skip
    task = (await api.get("/tasks/a")).json()
    assert task["state"] == "queued"
    assert task["history"] == [
        {"at": redrive["startedAt"], "event": "redrive", "by": "ann", "reason": "fixed",
         "redrive": "r:1"}
    ]  # fmt: skip
    assert await looked_at(api, "r:1") == redrive
    await stage.succeed(await stage.run("a"))
    await stage.ledger.step_redrive("r:1")
    redrive = await looked_at(api, "r:1")
    assert (redrive["state"], redrive["succeeded"], redrive["underWay"]) == ("running", 1, 1)


async def test_an_id_that_means_something_else_in_a_path_is_refused(
    api: httpx.AsyncClient,
) -> None:
    for path in ("/redrives", "/dead-letters/redrive"):
        for name in (".", ".."):
            problem(await api.post(path, json={"all": True, "id": name}), 422)


@pytest.mark.parametrize("sent", ["%00", "a%00b", "x" * 3000, "a%20b"])
async def test_a_path_that_no_redrive_can_have_leads_to_none(
    api: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    async def ask(redrive_id: str) -> None:
        raise AssertionError("PostgreSQL takes no NUL, DynamoDB no key that is so long")

    monkeypatch.setattr(stage.ledger, "get_redrive", ask)
    problem(await api.get(f"/redrives/{sent}"), 404)
    problem(await api.post(f"/redrives/{sent}/stop"), 404)


async def test_the_same_id_is_the_same_redrive_and_another_body_a_conflict(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await bury_all(stage, *"ab")
    first = await begun(api, id="one", type="default", canary=1)
    assert await begun(api, 200, id="one", type="default", tolerate=0, patience=600.0) == first
    for other in ({"type": "default", "canary": 2}, {"all": True}, {"type": "default", "by": "x"}):
        assert problem(await api.post("/redrives", json={"id": "one", **other}), 409)
    named: dict[str, Any] = {"id": "two", "taskIds": ["b"], "canary": 0}
    await begun(api, **named, payload={"n": 1, "m": 2})
    await begun(api, 200, **named, payload={"m": 2, "n": 1.0})
    problem(await api.post("/redrives", json={**named, "payload": {"n": 2}}), 409)
    problem(await api.post("/redrives", json=named), 409)
    assert (await api.get("/tasks/b")).json()["payload"] == {"n": 1, "m": 2}


async def test_a_payload_for_what_can_be_no_task_is_taken_and_selects_none(
    api: httpx.AsyncClient,
) -> None:
    redrive = await begun(api, taskIds=["\u0087"], payload={"n": 1})
    assert (redrive["selected"], redrive["underWay"]) == (0, 0)


async def test_a_stop_says_why_and_the_same_again(api: httpx.AsyncClient, stage: Stage) -> None:
    await bury_all(stage, *"abc")
    await begun(api, id="one", all=True)
    stopped = await api.post("/redrives/one/stop", json={"by": "ann", "reason": "not yet"})
    assert stopped.status_code == 200
    assert stopped.json()["state"] == "stopped"
    assert stopped.json()["why"] == "stopped by ann: not yet"
    assert (stopped.json()["underWay"], stopped.json()["left"]) == (1, 2)
    again = await api.post("/redrives/one/stop")
    assert (again.status_code, again.json()) == (200, stopped.json())
    problem(await api.post("/redrives/nobody/stop"), 404)
    problem(await api.get("/redrives/nobody"), 404)
    problem(await api.get("/redrives/%20"), 404)


async def test_they_are_listed_newest_first_page_by_page(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await bury_all(stage, "a")
    for name in ("a", "b", "c", "d"):
        await begun(api, id=name, all=True, canary=0)
        stage.clock.advance(name == "b")
    seen, query = [], "?limit=1"
    while query:
        page = (await api.get(f"/redrives{query}")).json()
        seen += [one["id"] for one in page["redrives"]]
        cursor = page["nextCursor"]
        query = "" if cursor is None else f"?limit=1&cursor={cursor}"
    assert seen == ["d", "c", "b", "a"]
    running = (await api.get("/redrives?state=running")).json()
    assert ([one["id"] for one in running["redrives"]], running["nextCursor"]) == (["a"], None)
    for cursor in ("nonsense", "99999999999999999999-x"):
        assert parameters(await api.get(f"/redrives?cursor={cursor}")) == ["cursor"]
    assert parameters(await api.get("/redrives?state=queued")) == ["state"]
    assert parameters(await api.get("/redrives?limit=0")) == ["limit"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["#"]),
        ({"all": False}, ["#/all"]),
        ({"all": True, "id": ""}, ["#/id"]),
        ({"all": True, "id": "a/b"}, ["#/id"]),
        ({"all": True, "id": "x" * 201}, ["#/id"]),
        ({"all": True, "canary": -1}, ["#/canary"]),
        ({"all": True, "canary": None}, ["#/canary"]),
        ({"all": True, "canary": 1.5}, ["#/canary"]),
        ({"all": True, "tolerate": -1}, ["#/tolerate"]),
        ({"all": True, "patience": 0}, ["#/patience"]),
        ({"all": True, "limit": 0, "ratePerSecond": 0}, ["#/limit", "#/ratePerSecond"]),
        ({"all": True, "payload": {}}, ["#/payload"]),
        ({"taskIds": ["a", "b"], "payload": {}}, ["#/payload"]),
        ({"taskIds": ["a"], "payload": []}, ["#/payload"]),
        ({"taskIds": ["a"] * 1_001}, ["#/taskIds"]),
        *(({"taskIds": ["a", bad]}, ["#/taskIds"]) for bad in (1, None, ["a"])),
        ({"all": True, "forget": ["a b"]}, ["#/forget"]),
        ({"all": True, "by": "x" * 1_001}, ["#/by"]),
    ],
)
async def test_what_makes_no_sense_begins_nothing(
    api: httpx.AsyncClient, body: dict[str, Any], where: list[str]
) -> None:
    assert pointers(await api.post("/redrives", json=body)) == where
    assert (await api.get("/redrives")).json()["redrives"] == []


async def test_an_id_that_no_task_can_have_is_passed_over(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.bury("a")
    odd = ["x" * 3_000, "", "a\u0000", ".."]
    redrive = await begun(api, taskIds=[*odd, "a"], canary=0)
    assert (redrive["selected"], redrive["redriven"]) == (1, 1)
    answer = await api.post("/dead-letters/redrive", json={"taskIds": odd})
    assert (answer.status_code, answer.json()["redriven"]) == (202, 0)


async def test_a_redrive_may_tolerate_any_number(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.bury("a", error=BOOM)
    await stage.bury("b", error=OTHER)
    redrive = await begun(api, fingerprint=OTHER.fingerprint, tolerate=None, canary=2)
    assert (redrive["selected"], redrive["redriven"]) == (1, 1)
    await stage.die(await stage.run("b"))
    await stage.ledger.step_redrive(redrive["id"])
    assert (await looked_at(api, redrive["id"]))["state"] == "done"


async def test_many_are_redriven_by_one_that_goes_on(api: httpx.AsyncClient, stage: Stage) -> None:
    names = [f"t{number}" for number in range(MOST_UNDER_WAY + 50)]
    await stage.submit(*names)
    attempts = await stage.claim(len(names))
    await stage.ledger.settle(
        [ended(attempt, Outcome.FAILED, Event.DIE, error=BOOM) for attempt in attempts]
    )
    answer = await api.post("/dead-letters/redrive", json={"all": True, "id": "many"})
    assert answer.status_code == 202
    assert answer.json() == {"redriven": MOST_UNDER_WAY, "more": False, "redrive": "many"}
    redrive = await looked_at(api, "many")
    assert (redrive["state"], redrive["left"]) == ("running", 50)
    await stage.succeed((await stage.claim(1))[0])
    await stage.ledger.step_redrive("many")
    again = await api.post("/dead-letters/redrive", json={"all": True, "id": "many"})
    assert (again.status_code, again.json()["redriven"]) == (200, MOST_UNDER_WAY + 1)
    problem(await api.post("/dead-letters/redrive", json={"type": "x", "id": "many"}), 409)


async def test_a_call_a_moment_later_depends_on_none_before(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await bury_all(stage, *"abcde")
    few = await api.post("/dead-letters/redrive", json={"all": True, "limit": 2})
    assert few.json()["redriven"] == 2
    for task_id in "ab":
        await stage.die(await stage.run(task_id))
    rest = await api.post("/dead-letters/redrive", json={"all": True})
    assert rest.json()["redriven"] == 5


async def test_a_key_redrives_its_types_alone_and_sees_no_others_redrives(
    stage: Stage, of: Of
) -> None:
    for name, task_type in (("a", "mail"), ("b", "sms"), ("c", "fax")):
        await buried(stage, of, name, task_type)
    every = await begun(of("all"), id="every", all=True, canary=0, limit=1)
    assert every["apiKey"] == "all"
    mails = await begun(of("two"), id="mails", taskIds=["a", "b", "c"], canary=0)
    assert (mails["selected"], mails["redriven"]) == (1, 1)
    nothing = await begun(of("mail"), id="nothing", type="sms")
    assert (nothing["selected"], nothing["state"]) == (0, "done")
    ids = {
        name: [one["id"] for one in (await of(name).get("/redrives")).json()["redrives"]]
        for name in ("all", "two", "mail")
    }
    assert ids == {
        "all": ["nothing", "mails", "every"], "two": ["nothing", "mails"], "mail": ["nothing"],
    } or ids["all"] != sorted(ids["all"])  # fmt: skip
    assert (await stage.record("b")).state == "dead"
    for method, path in (("GET", "/redrives/every"), ("POST", "/redrives/every/stop")):
        problem(await of("mail").request(method, path), 404)
    problem(await of("mail").get("/redrives/mails"), 404)
    assert (await of("two").post("/redrives/mails/stop")).status_code == 200
    problem(await of("mail").post("/redrives", json={"id": "every", "all": True}), 409)


async def test_a_page_of_a_bounded_key_names_no_redrive_that_it_does_not_see(
    stage: Stage, of: Of
) -> None:
    await buried(stage, of, "a", "mail")
    for name, key in (("1", "mail"), ("2", "all"), ("3", "mail"), ("4", "all"), ("5", "all")):
        stage.clock.advance(1)
        await begun(of(key), id=name, type="mail" if key == "mail" else "sms")
    pages = []
    asked = "/redrives?limit=1"
    while asked:
        page = (await of("mail").get(asked)).json()
        pages.append(([one["id"] for one in page["redrives"]], page["nextCursor"] is not None))
        assert all(name not in (page["nextCursor"] or "")[-2:] for name in "245")
        asked = page["nextCursor"] and f"/redrives?limit=1&cursor={page['nextCursor']}"
    assert pages == [(["3"], True), (["1"], False)]
    both = (await of("mail").get("/redrives?limit=2")).json()
    assert ([one["id"] for one in both["redrives"]], both["nextCursor"]) == (["3", "1"], None)


async def test_a_redrive_needs_the_right_to_operate_and_one_with_a_payload_to_submit(
    stage: Stage, of: Of
) -> None:
    await buried(stage, of, "a", "mail")
    problem(await of("shop").post("/redrives", json={"all": True}), 403)
    problem(await of("shop").get("/redrives"), 403)
    edited: dict[str, Any] = {"taskIds": ["a"], "payload": {"x": 1}}
    problem(await of("ops").post("/redrives", json=edited), 403)
    problem(await of("ops").get("/redrives"), 403)
    assert (await stage.record("a")).state == "dead"
    await begun(of("all"), **edited)
    assert (await stage.run("a")).payload == '{"x":1}'
