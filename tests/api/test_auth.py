"""API keys: who may call what, and what those learn who may not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.checks import problem
from tests.conformance.stage import Clock
from unlost.api.app import App, create_app
from unlost.api.http.auth import MOST_REMEMBERED
from unlost.keys import SECRET_BYTES, Key, KeyScope, digest, new_key
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.settings import Settings

CALLS = {
    KeyScope.SUBMIT: [("POST", "/tasks"), ("POST", "/tasks/batch")],
    KeyScope.READ: [
        ("GET", "/tasks"), ("GET", "/tasks/t"), ("HEAD", "/tasks"), ("GET", "/dead-letters"),
        ("GET", "/dead-letters/groups"), ("GET", "/stats"), ("GET", "/audit"), ("GET", "/readyz"),
        ("GET", "/types"), ("GET", "/workers"), ("GET", "/metrics"), ("GET", "/openapi.json"),
        ("GET", "/docs"),
    ],
    KeyScope.OPERATE: [
        ("POST", "/tasks/t/cancel"), ("POST", "/dead-letters/t/redrive"),
        ("POST", "/dead-letters/redrive"), ("DELETE", "/dead-letters/t"),
        ("POST", "/types/t/pause"), ("POST", "/types/t/resume"), ("PATCH", "/types/t"),
    ],
}  # fmt: skip


class KeysInMemory:
    """A store of keys that counts how often it is asked, and may be away."""

    def __init__(self) -> None:
        self.kept: dict[str, Key] = {}
        self.asked = 0
        self.away = False

    def add(self, text: str, *scopes: KeyScope) -> None:
        self.kept[digest(text)] = Key(text, frozenset(scopes), 0)

    async def find(self, digest: str) -> Key | None:
        self.asked += 1
        if self.away:
            raise LedgerUnavailable("the keys are away")
        return self.kept.get(digest)


@pytest.fixture
def keys() -> KeysInMemory:
    keys = KeysInMemory()
    for scope in KeyScope:
        keys.add(scope.value, scope)
    return keys


@pytest.fixture
def guarded(keys: KeysInMemory, clock: Clock) -> App:
    return create_app(MemoryLedger(clock), Settings(), clock, keys=keys)


@pytest.fixture
async def client(guarded: App) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("scope", KeyScope)
async def test_each_scope_opens_its_calls_and_no_other(
    client: httpx.AsyncClient, scope: KeyScope
) -> None:
    for needed, calls in CALLS.items():
        for method, path in calls:
            answer = await client.request(method, path, headers=bearer(scope.value))
            if needed is scope:
                assert answer.status_code not in (401, 403), (method, path)
            else:
                assert answer.status_code == 403, (method, path)
                assert answer.headers["www-authenticate"] == (
                    f'Bearer error="insufficient_scope", scope="{needed.value}"'
                )


async def test_every_call_is_guarded_but_for_livez_and_the_console_which_holds_no_data(
    client: httpx.AsyncClient, guarded: App
) -> None:
    listed = {call for calls in CALLS.values() for call in calls}
    for route in guarded.routes:
        operation = route.operation
        path = operation.path.replace("{folder}/{file}", "app.js").replace("{file}", "app.js")
        path = re.sub(r"\{\w+\}", "t", path)
        is_open = path in {"/livez", "/"} or path.startswith("/console/")
        if path != "/events":
            assert ((operation.method, path) in listed) is not is_open
        answer = await client.request(operation.method, path)
        assert answer.status_code == (200 if is_open else 401), path


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


async def test_a_key_is_looked_up_once_a_minute_so_a_revoked_one_ends_within_that(
    client: httpx.AsyncClient, keys: KeysInMemory, clock: Clock
) -> None:
    for _ in range(3):
        assert (await client.get("/tasks", headers=bearer("read"))).status_code == 200
    assert keys.asked == 1
    del keys.kept[digest("read")]
    clock.advance(59)
    assert (await client.get("/tasks", headers=bearer("read"))).status_code == 200

    clock.advance(1)

    problem(await client.get("/tasks", headers=bearer("read")), 401)


async def test_a_clock_that_went_back_makes_it_look_again(
    client: httpx.AsyncClient, keys: KeysInMemory, clock: Clock
) -> None:
    await client.get("/tasks", headers=bearer("read"))
    del keys.kept[digest("read")]

    clock.advance(-3600)

    problem(await client.get("/tasks", headers=bearer("read")), 401)


async def test_guesses_do_not_fill_the_memory(
    client: httpx.AsyncClient, keys: KeysInMemory, guarded: App
) -> None:
    for number in range(MOST_REMEMBERED + 10):
        await client.get("/tasks", headers=bearer(f"guess-{number}"))
    assert (await client.get("/tasks", headers=bearer("guess-0"))).status_code == 401

    assert keys.asked == MOST_REMEMBERED + 11  # the oldest was forgotten


async def test_while_keys_cannot_be_looked_up_it_is_503(
    client: httpx.AsyncClient, keys: KeysInMemory
) -> None:
    keys.away = True

    answer = await client.get("/tasks", headers=bearer("read"))

    problem(answer, 503)
    assert answer.headers["retry-after"] == "1"
    keys.away = False
    assert (await client.get("/tasks", headers=bearer("read"))).status_code == 200


async def test_the_document_says_which_scope_each_call_needs(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json", headers=bearer("read"))).json()

    OpenAPIV31SpecValidator(document).validate()
    assert document["components"]["securitySchemes"] == {
        "key": {"type": "http", "scheme": "bearer"}
    }
    for scope, calls in CALLS.items():
        for method, path in calls:
            if method == "HEAD":
                continue
            name = "{type}" if path.startswith("/types") else "{taskId}"
            template = re.sub(r"/t(?=/|$)", f"/{name}", path)
            described = document["paths"][template][method.lower()]
            assert described["security"] == [{"key": [scope.value]}]
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
    assert key.isascii()
    assert digest(key) != digest(new_key(bytes(SECRET_BYTES)))
    assert len(digest(key)) == 64
