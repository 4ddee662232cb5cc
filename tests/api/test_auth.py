"""API keys: who may call what, and what those learn who may not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.checks import problem
from tests.api.keyring import bearer
from tests.conformance.stage import Clock
from unlost.access.keys import SECRET_BYTES, KeyScope, digest, is_key, new_key
from unlost.api.app import App, create_app
from unlost.ledger.memory import MemoryLedger
from unlost.settings import Settings

CALLS = {
    KeyScope.SUBMIT: [("POST", "/tasks"), ("POST", "/tasks/batch")],
    KeyScope.READ: [
        ("GET", "/tasks"), ("GET", "/tasks/t"), ("GET", "/tasks/t/why"), ("HEAD", "/tasks"),
        ("GET", "/dead-letters"),
        ("GET", "/dead-letters/groups"), ("GET", "/audit"), ("GET", "/types"), ("GET", "/workers"),
        ("GET", "/schedule-times"),
        ("GET", "/redrives"), ("GET", "/redrives/t"),
        ("GET", "/schedules"), ("GET", "/schedules/t"),
    ],
    KeyScope.METRICS: [("GET", "/stats"), ("GET", "/metrics")],
    KeyScope.OPERATE: [
        ("POST", "/tasks/t/cancel"), ("POST", "/dead-letters/t/redrive"),
        ("POST", "/dead-letters/redrive"), ("DELETE", "/dead-letters/t"),
        ("POST", "/types/t/pause"), ("POST", "/types/t/resume"), ("PATCH", "/types/t"),
        ("POST", "/redrives"), ("POST", "/redrives/t/stop"),
    ],
    KeyScope.WORK: [
        ("POST", "/attempts/claim"), ("POST", "/attempts/steps"), ("POST", "/attempts/settle"),
        ("POST", "/workers/t/extend"),
    ],
}  # fmt: skip


WITH_SUBMIT = [
    ("PUT", "/schedules/t"), ("DELETE", "/schedules/t"), ("POST", "/schedules/t/run"),
    ("POST", "/schedules/t/pause"), ("POST", "/schedules/t/resume"),
]  # fmt: skip
"""What asks for two scopes: operate and submit."""


ALSO = {
    KeyScope.READ: {*CALLS[KeyScope.METRICS]},
    # Of what it has submitted; else there is none.
    KeyScope.SUBMIT: {("GET", "/tasks/t"), ("GET", "/tasks/t/why")},
}
"""What a scope opens beside the calls that ask for it."""


@pytest.mark.parametrize("scope", KeyScope)
async def test_each_scope_opens_its_calls_and_no_other(
    client: httpx.AsyncClient, scope: KeyScope
) -> None:
    for needed, calls in CALLS.items():
        for method, path in calls:
            answer = await client.request(method, path, headers=bearer(scope.value))
            if needed is scope or (method, path) in ALSO.get(scope, ()):
                assert answer.status_code not in (401, 403), (method, path)
            else:
                assert answer.status_code == 403, (method, path)
                assert answer.headers["www-authenticate"] == (
                    f'Bearer error="insufficient_scope", scope="{needed.value}"'
                )


@pytest.mark.parametrize("scope", KeyScope)
async def test_schedules_ask_for_two_scopes(client: httpx.AsyncClient, scope: KeyScope) -> None:
    lacks = KeyScope.SUBMIT if scope is KeyScope.OPERATE else KeyScope.OPERATE
    for method, path in WITH_SUBMIT:
        answer = await client.request(method, path, headers=bearer(scope.value))
        assert answer.status_code == 403
        assert f'scope="{lacks.value}"' in answer.headers["www-authenticate"]


OPEN = {"/livez", "/readyz", "/openapi.json", "/docs", "/"}


async def test_every_call_is_guarded_but_for_those_that_hold_no_data(
    client: httpx.AsyncClient, guarded: App
) -> None:
    listed = {call for calls in (*CALLS.values(), WITH_SUBMIT) for call in calls}
    for route in guarded.routes:
        operation = route.operation
        path = operation.path.replace("{folder}/{file}", "app.js").replace("{file}", "app.js")
        path = re.sub(r"\{\w+\}", "t", path)
        is_open = path in OPEN or path.startswith("/console/")
        if path != "/events":
            assert ((operation.method, path) in listed) is not is_open
        answer = await client.request(operation.method, path)
        assert answer.status_code == (200 if is_open else 401), path


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("PUT", "/tasks")])
async def test_who_has_no_key_does_not_learn_what_there_is(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    problem(await client.request(method, path), 401)
    answer = await client.request(method, path, headers=bearer("work"))
    assert answer.status_code in (404, 405)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic cmVhZDo=", "read", "Bearer re ad", "Bearer read read"],
)
async def test_without_a_key_it_is_401(client: httpx.AsyncClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}

    answer = await client.get("/tasks", headers=headers)

    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_given_twice_is_none(client: httpx.AsyncClient) -> None:
    twice = [("Authorization", "Bearer read"), ("Authorization", "Bearer read")]

    problem(await client.get("/tasks", headers=twice), 401)


async def test_an_unknown_key_is_401_and_is_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.get("/tasks", headers=bearer("guess"))

    problem(answer, 401)
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert "guess" not in answer.text


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  "])
async def test_the_scheme_may_be_written_in_any_case(
    client: httpx.AsyncClient, scheme: str
) -> None:
    answer = await client.get("/tasks", headers={"Authorization": f"{scheme} read"})

    assert answer.status_code == 200


async def test_a_body_is_not_read_for_those_who_may_not_send_it(
    client: httpx.AsyncClient,
) -> None:
    class Unread(httpx.AsyncByteStream):
        def __aiter__(self) -> AsyncIterator[bytes]:
            raise AssertionError("it was read")

    answer = await client.post("/tasks", headers=bearer("read"), content=Unread())

    problem(answer, 403)


async def test_the_document_says_which_scope_each_call_needs(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    OpenAPIV31SpecValidator(document).validate()
    assert document["components"]["securitySchemes"] == {
        "key": {"type": "http", "scheme": "bearer"}
    }
    for scope, calls in (*CALLS.items(), (KeyScope.OPERATE, WITH_SUBMIT)):
        for method, path in calls:
            if method == "HEAD":
                continue
            kinds = {
                "types": "{type}", "redrives": "{redriveId}", "schedules": "{scheduleId}",
                "workers": "{worker}",
            }  # fmt: skip
            name = kinds.get(path.split("/")[1], "{taskId}")
            template = re.sub(r"/t(?=/|$)", f"/{name}", path)
            described = document["paths"][template][method.lower()]
            assert {"key": [scope.value]} in described["security"]
            assert {"401", "403"} <= described["responses"].keys()
    alive = document["paths"]["/livez"]["get"]
    assert "security" not in alive
    assert "401" not in alive["responses"]


async def test_without_keys_the_document_speaks_of_none(clock: Clock) -> None:
    transport = httpx.ASGITransport(create_app(MemoryLedger(clock), Settings(), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        text = (await client.get("/openapi.json")).text

    assert "security" not in text
    assert '"401"' not in text


def test_a_key_is_as_long_as_it_is_random_and_fits_a_header() -> None:
    key = new_key(bytes(range(SECRET_BYTES)))

    assert key.startswith("unlost_")
    assert len(key) == len("unlost_") + 43
    assert is_key(key)
    assert not is_key(key + "x")
    assert not is_key(key[:-1])
    assert digest(key) != digest(new_key(bytes(SECRET_BYTES)))
    assert len(digest(key)) == 64
