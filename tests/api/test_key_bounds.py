"""What a key gets to see and to do: by its scopes, its types, and whose a task is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.checks import problem
from tests.api.keyring import Of, buried, task
from tests.conformance.stage import Stage
from unlost.task import SECOND


async def test_a_task_names_the_key_that_submitted_it(of: Of) -> None:
    fresh = await of("shop").post("/tasks", json=task("one"))
    for some in ([task("two", type="mail")], [task("three", priority=1)]):
        batch = await of("all").post("/tasks/batch", json={"tasks": some})
        assert batch.json()["accepted"] == 1

    assert (fresh.status_code, fresh.json()["submittedBy"]) == (202, "shop")
    for name, key in (("one", "shop"), ("two", "all"), ("three", "all")):
        assert (await of("all").get(f"/tasks/{name}")).json()["submittedBy"] == key
    listed = (await of("all").get("/tasks")).json()["tasks"]
    assert [one["submittedBy"] for one in listed] == ["all", "all", "shop"]


@pytest.mark.parametrize("options", [{}, {"key": "x"}, {"callbackUrl": "https://shop.example.com"}])
async def test_what_is_answered_at_once_is_what_is_read_later(
    of: Of, options: dict[str, str]
) -> None:
    for key in ("shop", "other"):
        fresh = (await of(key).post("/tasks", json=task(key, **options))).json()
        assert (await of("all").get(f"/tasks/{key}")).json() == fresh
        assert fresh["submittedBy"] == key


async def test_a_replay_stays_the_first_keys_and_shows_another_no_more_than_that_it_is_there(
    of: Of,
) -> None:
    first = await of("shop").post("/tasks", json=task("one"))
    own = await of("shop").post("/tasks", json=task("one"))
    others = await of("other").post("/tasks", json=task("one"))
    reads = await of("all").post("/tasks", json=task("one"))

    assert [one.status_code for one in (first, own, others, reads)] == [202, 200, 200, 200]
    assert own.json() == reads.json() == first.json()
    assert others.json() == {
        name: first.json()[name] for name in ("taskId", "type", "state", "submittedAt")
    }
    assert others.headers["idempotent-replayed"] == "true"


async def test_who_only_submits_gets_its_own_tasks_alone(of: Of) -> None:
    await of("shop").post("/tasks", json=task("one"))

    assert (await of("shop").get("/tasks/one")).json()["payload"] == {"secret": "one"}
    assert (await of("shop").get("/tasks/one?wait=0")).status_code == 200
    for path in ("/tasks/one", "/tasks/one?wait=5", "/tasks/none"):
        problem(await of("other").get(path), 404)
    problem(await of("shop").get("/tasks"), 403)


async def test_why_a_task_waits_is_told_to_whoever_may_see_it(of: Of) -> None:
    await of("shop").post("/tasks", json=task("one"))

    for name in ("shop", "all"):
        assert (await of(name).get("/tasks/one/why")).json()["reason"] == "no_worker"
    for name in ("other", "mail"):
        problem(await of(name).get("/tasks/one/why"), 404)
    problem(await of("ops").get("/tasks/one/why"), 403)


async def test_what_came_without_a_key_is_nobodys(stage: Stage, of: Of) -> None:
    await stage.submit("old")
    problem(await of("shop").get("/tasks/old"), 404)
    assert "submittedBy" not in (await of("all").get("/tasks/old")).json()


async def test_who_only_operates_sees_no_payload(stage: Stage, of: Of) -> None:
    await of("shop").post("/tasks", json=task("one"))
    cancelled = await of("ops").post("/tasks/one/cancel")
    assert cancelled.json().keys() == {"taskId", "type", "state", "submittedAt"}
    assert cancelled.json()["state"] == "cancelled"
    await buried(stage, of, "two", "mail")
    redriven = await of("ops").post("/dead-letters/two/redrive")
    assert (redriven.status_code, redriven.json()["state"]) == (202, "queued")
    assert "payload" not in redriven.json()


async def test_a_redrive_with_a_payload_needs_the_right_to_submit(stage: Stage, of: Of) -> None:
    await buried(stage, of, "one", "mail")
    edited = {"payload": {"x": 1}}
    refused = problem(await of("ops").post("/dead-letters/one/redrive", json=edited), 403)
    assert "submit" in refused["detail"]
    assert (await stage.record("one")).state == "dead"
    assert (await of("two").post("/dead-letters/one/redrive", json=edited)).status_code == 202


async def test_of_another_type_a_key_submits_nothing(stage: Stage, of: Of) -> None:
    refused = await of("mail").post("/tasks", json=task("one", type="sms"))
    problem(refused, 403)
    assert "insufficient_scope" in refused.headers["www-authenticate"]
    problem(await of("mail").post("/tasks", json=task("one")), 403)  # the type "default"
    items = [task("a", type="mail"), task("b", type="sms"), task("c", type="mail"), {"taskId": "d"}]
    batch = (await of("mail").post("/tasks/batch", json={"tasks": items})).json()

    assert [one["status"] for one in batch["results"]] == [202, 403, 202, 422]
    assert (batch["accepted"], batch["rejected"]) == (2, 2)
    assert await stage.ledger.get("one") is None
    assert await stage.ledger.get("b") is None


async def test_of_another_type_a_key_changes_no_settings_and_sees_none(of: Of) -> None:
    for method, path, body in (
        ("POST", "/types/sms/pause", None),
        ("POST", "/types/sms/resume", None),
        ("PATCH", "/types/sms", {"limit": 1}),
    ):
        problem(await of("mail").request(method, path, json=body), 403)
    for name in ("sms", "mail"):
        assert (await of("all").post(f"/types/{name}/pause")).status_code == 200
    assert (await of("mail").post("/types/mail/pause")).status_code == 200

    seen = {
        name: [one["type"] for one in (await of(name).get("/types")).json()["types"]]
        for name in ("all", "mail", "two")
    }

    assert seen == {"all": ["mail", "sms"], "mail": ["mail"], "two": ["mail"]}


async def test_a_task_of_another_type_is_not_there(stage: Stage, of: Of) -> None:
    await of("all").post("/tasks", json=task("waits", type="sms"))
    await buried(stage, of, "dead", "sms")
    for method, path in (
        ("GET", "/tasks/waits"),
        ("GET", "/tasks/waits?wait=3"),
        ("POST", "/tasks/waits/cancel"),
        ("POST", "/dead-letters/dead/redrive"),
        ("DELETE", "/dead-letters/dead"),
        ("POST", "/dead-letters/waits/redrive"),
    ):
        for name in ("mail", "two"):
            refused = problem(await of(name).request(method, path), 404)
            missing = path.replace("waits", "none").replace("dead/", "none/")
            unknown = problem(await of(name).request(method, missing), 404)
            assert refused == unknown
    assert [(await stage.record(one)).state for one in ("waits", "dead")] == ["queued", "dead"]


async def test_what_is_done_is_told_with_the_key_in_the_history_and_in_the_log(
    stage: Stage, of: Of, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await of("all").post("/tasks", json=task("one", type="mail"))
    said = {"by": "Ada", "reason": "why"}
    await of("mail").post("/tasks/one/cancel", json=said)
    for name in ("two", "three", "four"):
        await buried(stage, of, name, "mail")
    await of("mail").post("/dead-letters/two/redrive", json=said)
    await of("all").request("DELETE", "/dead-letters/three")
    await of("two").post("/dead-letters/redrive", json={"taskIds": ["four"], **said})
    await of("mail").post("/types/mail/pause", json=said)
    await of("mail").post("/types/mail/resume")
    await of("mail").patch("/types/mail", json={"limit": 4})

    history = (await of("all").get("/tasks/one")).json()["history"]
    assert history == [
        {"at": history[0]["at"], "event": "cancel", **said, "apiKey": "mail"},
    ]  # fmt: skip
    for name, key in (("two", "mail"), ("three", "all"), ("four", "two")):
        [act] = (await of("all").get(f"/tasks/{name}")).json()["history"]
        assert act["apiKey"] == key
    lines = [one for one in caplog.records if one.getMessage() == "api.acted"]
    assert [(one.call, one.ids, one.apiKey, one.by, one.reason) for one in lines] == [  # type: ignore[attr-defined]
        ("cancelTask", ["one"], "mail", "Ada", "why"),
        ("redriveDeadLetter", ["two"], "mail", "Ada", "why"),
        ("discardDeadLetter", ["three"], "all", None, None),
        ("redriveDeadLetters", ["four"], "two", "Ada", "why"),
        ("pauseType", ["mail"], "mail", "Ada", "why"),
        ("resumeType", ["mail"], "mail", None, None),
        ("changeType", ["mail"], "mail", None, None),
    ]


async def test_what_was_refused_is_not_told_as_done(
    of: Of, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await of("mail").post("/tasks/none/cancel")
    await of("shop").post("/tasks/none/cancel")
    await of("mail").post("/types/sms/pause")
    await of("all").request("DELETE", "/dead-letters/none")
    assert "api.acted" not in caplog.text
    assert SECOND


SCHEDULE = {"every": 60, "type": "mail", "payload": {}}


async def test_schedules_need_operate_and_submit(of: Of) -> None:
    for name in ("shop", "ops"):
        problem(await of(name).put("/schedules/s", json=SCHEDULE), 403)
    assert (await of("mail").put("/schedules/s", json=SCHEDULE)).status_code == 201
    for name in ("shop", "ops"):
        for call in ("run", "pause", "resume"):
            problem(await of(name).post(f"/schedules/s/{call}"), 403)
        problem(await of(name).delete("/schedules/s"), 403)
        problem(await of(name).get("/schedules"), 403)
    run = await of("mail").post("/schedules/s/run")
    assert run.status_code == 202
    assert run.json()["submittedBy"] == "mail"


async def test_a_key_for_types_has_no_schedules_of_others(of: Of) -> None:
    problem(await of("mail").put("/schedules/s", json=SCHEDULE | {"type": "sms"}), 403)
    await of("all").put("/schedules/s", json=SCHEDULE | {"type": "sms"})
    await of("all").put("/schedules/t", json=SCHEDULE)
    mail = of("mail")
    problem(await mail.get("/schedules/s"), 404)
    problem(await mail.put("/schedules/s", json=SCHEDULE), 404)
    problem(await mail.delete("/schedules/s"), 404)
    for call in ("run", "pause", "resume"):
        problem(await mail.post(f"/schedules/s/{call}"), 404)
    listed = (await mail.get("/schedules")).json()
    assert [one["id"] for one in listed["schedules"]] == ["t"]


async def test_pages_of_schedules_name_none_of_other_types(of: Of) -> None:
    for name, task_type in {"a": "sms", "b": "mail", "c": "sms", "d": "mail", "e": "sms"}.items():
        schedule = SCHEDULE | {"type": task_type}
        assert (await of("all").put(f"/schedules/{name}", json=schedule)).status_code == 201
    pages = []
    asked: dict[str, Any] = {"limit": 1}
    while asked.get("cursor", "") is not None:
        page = (await of("mail").get("/schedules", params=asked)).json()
        asked["cursor"] = page["nextCursor"]
        pages.append(([one["id"] for one in page["schedules"]], page["nextCursor"]))
    assert pages == [(["b"], "after:b"), (["d"], None)]
