"""The API behind API Gateway: what Lambda and the gateway make of calls, and the home's frame."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.aws.emulator import Emulator
from tests.aws.functions import Functions, batch, request
from tests.aws.handing_on import handed_on
from tests.aws.place import hints, place_in
from tests.conformance.stage import Clock, must_add_up
from unlost.access.keys import Key, KeyScope, Secret, digest
from unlost.aws.environment import MARGIN
from unlost.ledger.opening import wall_clock
from unlost.task import State


@pytest.fixture
async def functions(emulator: Emulator, tmp_path: Path) -> AsyncIterator[Functions]:
    async with place_in(emulator.url, Clock(wall_clock())) as place:
        yield Functions(place, emulator.environment, tmp_path)
        await must_add_up(place.ledger)


def task(task_id: str, **members: object) -> str:
    return json.dumps({"taskId": task_id, "payload": {}} | members)


def body(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


async def test_tasks_are_submitted_shown_and_hinted(functions: Functions) -> None:
    payload = '{"b":1.50,"a":12345678901234567890,"ü":"✓"}'
    new = f'{{"taskId": "t", "payload": {payload}}}'
    as_bytes = request("POST", "/tasks", base64.b64encode(new.encode()).decode())

    run = functions.run(
        "api",
        request("POST", "/tasks", new),
        as_bytes | {"isBase64Encoded": True},
        request("GET", "/tasks/t"),
        request("POST", "/tasks", task("t", payload={})),
        request("POST", "/tasks", "{"),
        request("GET", "/tasks"),
        request("GET", "/stats"),
        request("GET", "/nowhere"),
        request("HEAD", "/livez"),
        request("DELETE", "/dead-letters/t"),
    )

    created, replayed, shown, conflict, bad, listed, stats, nowhere, alive, alive_one = run.answers
    assert (created["statusCode"], created["headers"]["location"]) == (202, "/tasks/t")
    assert replayed["headers"]["idempotent-replayed"] == "true"
    assert f'"payload":{payload}' in shown["body"]
    assert not any(answer.get("isBase64Encoded") for answer in run.answers)
    assert [one["statusCode"] for one in (conflict, bad, nowhere)] == [409, 400, 404]
    assert body(bad)["type"] == "urn:unlost:problem:malformed"
    assert [one["taskId"] for one in body(listed)["tasks"]] == ["t"]
    assert body(stats)["rates"] == {"submittedPerSecond": 0.0, "settledPerSecond": 0.0}
    assert alive["statusCode"] == 200
    assert alive_one["statusCode"] == 409
    assert functions.place.queues.taken(functions.place.queues.work) == [{"taskId": "t"}]
    assert run.err == ""


async def test_what_this_home_does_not_offer_says_what_to_use(functions: Functions) -> None:
    paths = ("/events", "/metrics", "/audit")

    run = functions.run("api", *(request("GET", path) for path in paths), request("GET", "/"))

    *refused, home = run.answers
    assert {answer["statusCode"] for answer in refused} == {501}
    assert "CloudWatch" in body(refused[1])["detail"]
    assert "unlost audit --ledger dynamodb://TABLE" in body(refused[2])["detail"]
    assert "/stats" in home["body"]
    assert not any(path in home["body"] for path in paths)


async def test_what_is_set_for_types_is_set_here_too(functions: Functions) -> None:
    run = functions.run(
        "api",
        request("POST", "/types/mail/pause", '{"by": "ann"}'),
        request("PATCH", "/types/mail", '{"limit": 2, "keyLimit": 1, "breaker": {}}'),
        request("POST", "/tasks", task("t", type="mail", key="of ann")),
        request("POST", "/types/mail/resume"),
        request("PATCH", "/types/mail", '{"pull": true}'),
        request("POST", "/tasks", task("u", type="mail", timeoutSeconds=43_200)),
        request("GET", "/tasks/u/why"),
        request("GET", "/types"),
        request("GET", "/workers"),
    )

    assert [one["statusCode"] for one in run.answers] == [200, 200, 202, 200, 200, 202, *[200] * 3]
    paused, _, created, _, _, _, why, types, workers = map(body, run.answers)
    told = functions.place.queues.taken(functions.place.queues.work)
    assert {one["taskId"] for one in told} == {"t"}
    assert why["reason"] == "no_worker"
    assert "claims by the API" in why["detail"]
    assert paused["pause"]["by"] == "ann"
    assert created["key"] == "of ann"
    [mail] = types["types"]
    assert (mail["pause"], mail["limit"], mail["keyLimit"], mail["pull"]) == (None, 2, 1, True)
    assert mail["circuit"] == "closed"
    assert workers == {"workers": []}


async def test_the_frames_bounds_hold_and_are_in_the_document(functions: Functions) -> None:
    longest = 300 - MARGIN
    many = json.dumps({"tasks": [json.loads(task(str(number))) for number in range(1001)]})
    heavy = json.dumps({"tasks": [{"taskId": "x", "payload": {"a": "x" * 5_000_000}}]})
    small = json.dumps(
        {"tasks": [json.loads(task("a")), json.loads(task("b", timeoutSeconds=400))]}
    )

    run = functions.run(
        "api",
        request("POST", "/tasks/batch", many),
        request("POST", "/tasks/batch", heavy),
        request("POST", "/tasks/batch", small),
        request("POST", "/tasks", task("c", timeoutSeconds=longest + 0.001)),
        request("POST", "/tasks", task("d", timeoutSeconds=longest)),
        request("GET", "/openapi.json"),
        UNLOST_FUNCTION_TIMEOUT="300",
    )

    too_many, too_heavy, some, too_long, long, document = run.answers
    assert [one["statusCode"] for one in (too_many, too_heavy, some)] == [413, 413, 200]
    assert [one["status"] for one in body(some)["results"]] == [202, 422]
    assert (too_long["statusCode"], long["statusCode"]) == (422, 202)
    schemas = body(document)["components"]["schemas"]
    assert f"{longest:g}" in schemas["NewTask"]["properties"]["timeoutSeconds"]["description"]
    assert schemas["NewBatch"]["properties"]["tasks"]["maxItems"] == 1000
    assert set(body(document)["paths"]["/audit"]["get"]["responses"]) == {"500", "501", "503"}


async def test_a_page_of_large_payloads_is_no_larger_than_an_answer_of_lambda_may_be(
    functions: Functions,
) -> None:
    names = [str(number) for number in range(30)]
    await functions.place.submit(*names, payload='{"x":"' + "a" * 250_000 + '"}')
    asked = request("GET", "/tasks") | {"rawQueryString": "include=payload"}

    [page] = functions.run("api", asked).answers

    assert (page["statusCode"], len(body(page)["tasks"]) > 10) == (200, True)
    assert len(json.dumps(page)) < 6 * 1024 * 1024
    assert body(page)["nextCursor"] is not None


async def test_keys_are_needed_where_they_are_required(functions: Functions) -> None:
    scopes = {"reader": KeyScope.READ, "submitter": KeyScope.SUBMIT, "operator": KeyScope.OPERATE}
    for name, scope in scopes.items():
        key = Key(name, frozenset({scope}), 0, (Secret(digest(name)),))
        await functions.place.ledger.add_key(key)

    def asks(key: str, method: str, path: str, text: str = "") -> dict[str, Any]:
        event = request(method, path, text)
        return {**event, "headers": event["headers"] | {"authorization": f"Bearer {key}"}}

    run = functions.run(
        "api",
        request("GET", "/tasks"),
        request("GET", "/livez"),
        asks("nobody", "GET", "/tasks"),
        asks("reader", "GET", "/tasks"),
        asks("reader", "POST", "/tasks", task("t")),
        asks("submitter", "POST", "/tasks", task("t")),
        asks("submitter", "GET", "/tasks"),
        asks("operator", "POST", "/tasks/t/cancel"),
        UNLOST_KEYS="required",
    )

    statuses = [answer["statusCode"] for answer in run.answers]
    assert statuses == [401, 200, 401, 200, 403, 202, 403, 200]
    assert run.answers[0]["headers"]["www-authenticate"] == "Bearer"
    assert "nobody" not in run.out
    assert await functions.place.states("t") == [State.CANCELLED]
    assert all(key.used_at is not None for key in await functions.place.ledger.keys())


async def test_pages_of_another_origin_are_refused_and_the_name_is_the_gateways_to_check(
    functions: Functions,
) -> None:
    own = "https://x.execute-api.amazonaws.com"

    def page(method: str, path: str, text: str = "", **headers: str) -> dict[str, Any]:
        event = request(method, path, text)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return {**event, "headers": event["headers"] | named}

    run = functions.run(
        "api",
        page("POST", "/tasks", task("x"), origin="https://evil.example"),
        page("POST", "/tasks", task("x"), sec_fetch_site="cross-site", origin="null"),
        page("POST", "/tasks", task("x"), origin=own, content_type="text/plain"),
        page("POST", "/tasks", task("t"), origin=own, x_forwarded_for="203.0.113.9"),
        page("GET", "/tasks/t", host="jobs.example.com", origin="https://jobs.example.com"),
        page("OPTIONS", "/tasks", origin="https://app.example",
             access_control_request_method="POST"),
        page("GET", "/tasks/t", origin="https://app.example"),
        UNLOST_CORS_ORIGIN="https://app.example",
    )  # fmt: skip

    statuses = [answer["statusCode"] for answer in run.answers]
    assert statuses == [403, 403, 415, 202, 200, 204, 200]
    assert run.answers[-1]["headers"]["access-control-allow-origin"] == "https://app.example"


async def test_keys_are_required_unless_they_are_switched_off(functions: Functions) -> None:
    run = functions.run("api", request("GET", "/tasks"), UNLOST_KEYS="")

    assert [answer["statusCode"] for answer in run.answers] == [401]


async def test_names_are_found_though_the_gateway_decodes_paths(functions: Functions) -> None:
    names = ["a/b", "batch", "ü ✓", "a//b", "/a/", "x#y", "cancelled", "a.b/.."]
    await functions.place.submit(*names, type="of/mine")

    def asked(method: str, sent: str, text: str = "") -> dict[str, Any]:
        path = handed_on(sent)
        assert path is not None
        return request(method, path, text)

    run = functions.run(
        "api",
        *(asked("GET", f"/tasks/{quote(name, safe='')}") for name in names),
        asked("POST", "/tasks/a%2Fb/cancel"),
        asked("POST", "/types/of%2Fmine/pause"),
        asked("PATCH", "/types/of%2Fmine", '{"limit": 3}'),
        asked("POST", "/types/of%2Fmine/resume"),
    )

    assert [answer["statusCode"] for answer in run.answers] == [200] * 12
    *shown, cancelled, paused, limited, resumed = map(body, run.answers)
    assert [one["taskId"] for one in shown] == names
    assert (cancelled["taskId"], cancelled["state"]) == ("a/b", "cancelled")
    assert [one["type"] for one in (paused, limited, resumed)] == ["of/mine"] * 3
    assert (paused["pause"] is not None, resumed["limit"]) == (True, 3)


async def test_what_the_gateway_may_have_changed_acts_on_no_task(functions: Functions) -> None:
    await functions.place.submit("a", "a/b", "%", "a%2Fb")
    sent = ["/tasks/a%25252Fb/cancel", "/tasks/%2525/cancel", "/tasks/a%253Fb/cancel"]
    paths = [handed_on(one) for one in sent]
    assert paths == ["/tasks/a%2Fb/cancel", "/tasks/%/cancel", "/tasks/a?b/cancel"]

    run = functions.run("api", *(request("POST", path or "") for path in paths))

    assert {answer["statusCode"] for answer in run.answers} == {422}
    assert {body(answer)["type"] for answer in run.answers} == {"urn:unlost:problem:unclear-path"}
    states = await functions.place.states("a", "a/b", "%", "a%2Fb")
    assert states == [State.QUEUED] * 4


async def test_names_that_could_be_misread_are_refused(functions: Functions) -> None:
    wrong = ["50% off", "a?b", "a%2Fb", "cancel", "a/redrive"]
    items = [json.loads(task(name)) for name in [*wrong, "a/cancel/b"]]

    run = functions.run(
        "api",
        *(request("POST", "/tasks", task(name)) for name in wrong),
        request("POST", "/tasks", task("t", type="a/run")),
        request("POST", "/tasks/batch", json.dumps({"tasks": items})),
        request("PATCH", "/types/stop", '{"limit": 3}'),
        request("POST", "/types/why/pause"),
        request("GET", "/openapi.json"),
    )

    *refused, typed, many, limited, paused, document = run.answers
    assert {one["statusCode"] for one in (*refused, typed, limited, paused)} == {422}
    assert {body(one)["errors"][0]["pointer"] for one in refused} == {"#/taskId"}
    assert body(typed)["errors"][0]["pointer"] == "#/type"
    assert body(limited)["errors"][0]["parameter"] == "type"
    assert [one["status"] for one in body(many)["results"]] == [422] * 5 + [202]
    new_task = body(document)["components"]["schemas"]["NewTask"]["properties"]
    for name in wrong:
        assert not re.search(new_task["taskId"]["pattern"], name)
    assert re.search(new_task["type"]["pattern"], "a/cancel/b")
    assert "422" in body(document)["paths"]["/types/{type}/resume"]["post"]["responses"]


async def test_a_body_needs_no_announced_length(functions: Functions) -> None:
    """The gateway may leave the header out, or name the length of an encoded body."""
    await functions.place.submit("t", "u")
    cancel = request("POST", "/tasks/t/cancel", '{"reason": "because"}')
    wrong = request("POST", "/tasks/u/cancel", "")
    wrong["headers"] |= {"content-length": "50"}

    run = functions.run("api", cancel, wrong, {**cancel, "body": None})

    assert [answer["statusCode"] for answer in run.answers] == [200, 200, 200]
    told = [[act["reason"] for act in body(answer)["history"]] for answer in run.answers]
    assert told == [["because"], [None], ["because"]]


async def test_a_call_that_is_not_answered_in_time_is_503(functions: Functions) -> None:
    await functions.place.submit("t")
    wait = request("GET", "/tasks/t") | {"rawQueryString": "wait=20"}

    [late] = functions.run("api", wait, seconds=2).answers

    assert (late["statusCode"], late["headers"]["retry-after"]) == (503, "1")
    assert body(late)["detail"] == "the service did not answer in time; try again"


async def test_a_call_that_the_ledger_does_not_answer_is_503(functions: Functions) -> None:
    run = functions.run(
        "api",
        request("POST", "/tasks", task("t")),
        request("GET", "/livez"),
        UNLOST_TABLE="no-such-table",
    )

    refused, alive = run.answers
    assert (refused["statusCode"], refused["headers"]["retry-after"]) == (503, "10")
    assert "no-such-table" not in refused["body"]
    [said] = [line for line in run.out.splitlines() if "api.unavailable" in line]
    assert "DynamoDB has no table no-such-table here" in json.loads(said)["why"]
    assert alive["statusCode"] == 200


async def test_one_sandbox_serves_call_after_call_and_both_roles_share_a_table(
    functions: Functions,
) -> None:
    names = [f"t{number}" for number in range(20)]
    run = functions.run("api", *(request("POST", "/tasks", task(name)) for name in names))
    assert {answer["statusCode"] for answer in run.answers} == {202}

    simulated: Any = {"UNLOST_HANDLER": "", "UNLOST_FAILURE_RATE": "0"}
    functions.run("process", batch(*hints(*names)), **simulated)

    assert set(await functions.place.states(*names)) == {State.SUCCEEDED}


async def test_a_worker_elsewhere_claims_beats_records_and_settles(functions: Functions) -> None:
    claim = {"claim": "claim-0123456789", "worker": "w", "types": ["mail"], "limit": 2}
    run = functions.run(
        "api",
        request("POST", "/attempts/claim", json.dumps(claim | {"wait": 0.2})),
        request("PATCH", "/types/mail", '{"pull": true}'),
        request("POST", "/tasks", task("a", type="mail")),
        request("POST", "/tasks", task("b", type="mail")),
        request("POST", "/attempts/claim", json.dumps(claim | {"wait": 20})),
        request("POST", "/attempts/claim", json.dumps(claim)),
    )
    nothing, *_, given, again = map(body, run.answers)
    assert nothing == {"attempts": []}
    assert [one["taskId"] for one in given["attempts"]] == ["a", "b"]
    assert again == given
    first, second = (one["token"] for one in given["attempts"])

    follow_up = {"taskId": "next", "payload": {}}
    ends = [
        {"token": first, "outcome": "succeeded", "result": 1, "submit": [follow_up]},
        {"token": second, "outcome": "failed", "error": {"type": "Boom"}, "retryAfterSeconds": 9},
    ]
    run = functions.run(
        "api",
        request("POST", "/attempts/steps", json.dumps({"token": first, "name": "s", "result": 7})),
        request("POST", "/attempts/settle", json.dumps({"attempts": ends})),
        request("POST", "/attempts/settle", json.dumps({"attempts": ends})),
        request(
            "POST", "/workers/w/extend", json.dumps({"leaseSeconds": 60, "tokens": [first, "x"]})
        ),
        request("GET", "/workers"),
    )
    kept, settled, repeated, gone, workers = map(body, run.answers)
    assert kept == {"kept": True}
    assert [(one["status"], one["state"]) for one in settled["results"]] == [
        (200, "succeeded"),
        (200, "retrying"),
    ]
    assert repeated == settled
    assert [one["state"] for one in gone["gone"]] == ["succeeded", "unknown"]
    assert [(one["id"], one["runningCount"]) for one in workers["workers"]] == [("w", 0)]
    assert await functions.place.ledger.get("next") is not None
    assert run.err == ""
