"""Steps over HTTP: shown with their task, and forgotten by redrives that say so."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.checks import parameters, pointers, problem
from tests.conformance.stage import Clock, Stage
from unlost import effects
from unlost.api.app import create_app
from unlost.effects import Effects
from unlost.ledger.values import Claimed, NewStep
from unlost.settings import Settings
from unlost.telemetry.redaction import MASK
from unlost.times import rfc3339

REDRIVE = "/dead-letters/t/redrive"


async def record(stage: Stage, attempt: Claimed, name: str, result: str | None = "1") -> None:
    await stage.ledger.record_step(NewStep(attempt.task_id, attempt.token, name, result))


async def buried(stage: Stage, *names: str) -> None:
    """A dead letter with these steps."""
    await stage.submit("t")
    attempt = await stage.run("t")
    for name in names:
        await record(stage, attempt, name, f'{{"name":"{name}","secret":7}}')
    await stage.die(attempt)


async def steps(api: httpx.AsyncClient, include: str = "") -> list[dict[str, Any]]:
    answer = await api.get("/tasks/t" + include)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json().get("steps", [])
    return found


async def test_a_task_shows_its_steps_and_their_results_to_who_asks_for_them(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit("t")
    assert "steps" not in (await api.get("/tasks/t")).json()
    attempt = await stage.run("t")
    at = rfc3339(clock.now)
    await record(stage, attempt, "charge", '{"n":1.50}')
    await record(stage, attempt, "large", None)
    plain = [{"name": "charge", "attempt": 1, "at": at}]
    large = {"name": "large", "attempt": 1, "at": at, "kept": False}
    assert await steps(api) == [*plain, large]
    answer = await api.get("/tasks/t?include=steps")
    assert '"result":{"n":1.50}' in answer.text
    assert answer.json()["steps"] == [{**plain[0], "result": {"n": 1.5}}, large]
    assert parameters(await api.get("/tasks/t?include=attempts")) == ["include"]


async def test_steps_of_a_task_whose_attempts_cost_nothing_are_shown(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("t")
    attempt = await stage.run("t")
    await record(stage, attempt, "charge")
    await stage.release(attempt)
    assert (await stage.record("t")).attempt_count == 0
    assert [one["name"] for one in await steps(api)] == ["charge"]


async def test_what_a_redrive_forgets_is_shown_as_that(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await buried(stage, "charge", "mail")
    clock.advance(5)
    answer = await api.post(REDRIVE, json={"forget": ["mail", "mail"]})
    assert answer.status_code == 202
    assert [(one["name"], one.get("forgottenAt")) for one in await steps(api)] == [
        ("charge", None), ("mail", rfc3339(clock.now))
    ]  # fmt: skip
    assert (await stage.run("t")).effects == Effects({"mail": 1})


async def test_true_forgets_all_and_nothing_said_forgets_nothing(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await buried(stage, "charge", "mail")
    assert (await api.post(REDRIVE)).status_code == 202
    attempt = await stage.run("t")
    assert attempt.effects is None
    await stage.die(attempt)
    assert (await api.post(REDRIVE, json={"forget": True})).status_code == 202
    assert (await stage.run("t")).effects == Effects({"charge": 1, "mail": 1})


async def test_more_than_a_task_may_forget_is_refused(
    api: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "MAX_FORGOTTEN", 1)
    await buried(stage, "charge", "mail")
    for forget in (True, ["charge", "new"]):
        answer = await api.post(REDRIVE, json={"forget": forget})
        assert (answer.status_code, pointers(answer)) == (422, ["#/forget"])
    assert (await api.post(REDRIVE, json={"forget": ["new"]})).status_code == 202


@pytest.mark.parametrize(
    "forget", [False, None, "mail", {}, 1, [1], [""], ["a b"], ["a" * 101], ["a"] * 51]
)
async def test_what_cannot_be_forgotten_is_refused(
    api: httpx.AsyncClient, stage: Stage, forget: Any
) -> None:
    await buried(stage, "charge")
    assert pointers(await api.post(REDRIVE, json={"forget": forget})) == ["#/forget"]
    many = {"taskIds": ["t"], "forget": forget}
    assert pointers(await api.post("/redrives", json=many)) == ["#/forget"]
    assert pointers(await api.post("/redrives", json={**many, "forget": True})) == ["#/forget"]
    bulk = await api.post("/dead-letters/redrive", json={"all": True, "forget": ["a"]})
    assert pointers(bulk) == ["#/forget"]
    assert (await api.get("/tasks/t")).json()["state"] == "dead"


async def test_a_new_payload_has_to_say_what_is_forgotten(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await buried(stage, "charge")
    edit: dict[str, Any] = {"payload": {"n": 2}}
    assert pointers(await api.post(REDRIVE, json=edit)) == ["#/forget"]
    one = {"id": "one", "taskIds": ["t"], **edit}
    assert pointers(await api.post("/redrives", json=one)) == ["#/forget"]
    assert (await stage.record("t")).payload == "{}"
    begun = await api.post("/redrives", json={**one, "forget": []})
    assert begun.status_code == 201
    attempt = await stage.run("t")
    assert (attempt.payload, attempt.effects) == ('{"n":2}', None)
    again = await api.post("/redrives", json={**one, "forget": []})
    assert again.status_code == 200
    await stage.die(attempt)
    assert (await api.post(REDRIVE, json={**edit, "forget": ["charge"]})).status_code == 202
    assert (await stage.run("t")).effects == Effects({"charge": 1})


async def test_of_the_steps_of_a_task_that_is_not_dead_a_redrive_needs_no_word(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("t")
    await record(stage, await stage.run("t"), "charge")
    begun = await api.post("/redrives", json={"taskIds": ["t"], "payload": {}})
    assert (begun.status_code, begun.json()["selected"]) == (201, 0)


async def test_a_redrive_of_many_forgets_names(api: httpx.AsyncClient, stage: Stage) -> None:
    await buried(stage, "charge", "mail")
    body = {"id": "many", "all": True, "forget": ["mail"]}
    begun = await api.post("/redrives", json=body)
    assert (begun.status_code, begun.json()["forget"]) == (201, ["mail"])
    assert (await api.get("/redrives/many")).json()["forget"] == ["mail"]
    await api.post("/redrives", json={"id": "none", "all": True, "forget": []})
    assert "forget" not in (await api.get("/redrives/none")).json()
    problem(await api.post("/redrives", json={**body, "forget": ["charge"]}), 409)
    assert (await stage.run("t")).effects == Effects({"mail": 1})


async def test_a_call_with_an_id_that_forgets_comes_once(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await buried(stage, "charge")
    body = {"id": "once", "forget": ["charge"]}
    assert (await api.post(REDRIVE, json=body)).status_code == 202
    assert (await api.post(REDRIVE, json=body)).status_code == 200
    problem(await api.post(REDRIVE, json={**body, "forget": True}), 409)
    assert (await stage.run("t")).effects == Effects({"charge": 1})


async def test_what_is_not_shown_of_payloads_is_not_shown_of_steps(
    stage: Stage, clock: Clock
) -> None:
    await buried(stage, "charge")
    transport = httpx.ASGITransport(create_app(stage.ledger, Settings(redact=("/secret",)), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        [step] = await steps(api, "?include=steps")
    assert step["result"] == {"name": "charge", "secret": MASK}
