"""API keys: who may call what, and what those learn who may not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
from msgspec.structs import replace
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.types import Message

from tests.api.checks import problem
from tests.conformance.stage import Clock
from unlost.access.keys import (
    HOUR,
    SECRET_BYTES,
    Key,
    KeyScope,
    Secret,
    digest,
    is_key,
    new_key,
    revoked,
    rotated,
)
from unlost.api.app import App, create_app
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.settings import Settings
from unlost.task import SECOND, Micros

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


class Keyring(MemoryLedger):
    """A ledger that counts how often its keys are read, and whose keys may be away."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.reads = 0
        self.away = False

    def add(self, text: str, *scopes: KeyScope) -> None:
        self._keys[text] = Key(text, frozenset(scopes), 0, (Secret(digest(text)),))

    def put(self, name: str, key: Key) -> None:
        self._keys[name] = key

    def key(self, name: str) -> Key:
        return self._keys[name]

    async def keys(self) -> list[Key]:
        self.reads += 1
        if self.away:
            raise LedgerUnavailable("the keys are away")
        return await super().keys()


@pytest.fixture
def keys(clock: Clock) -> Keyring:
    keys = Keyring(clock)
    for scope in KeyScope:
        keys.add(scope.value, scope)
    return keys


@pytest.fixture
def guarded(keys: Keyring, clock: Clock) -> App:
    return create_app(keys, Settings(auth="keys"), clock)


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


async def test_a_revoked_key_is_out_within_seconds_and_no_call_costs_a_read(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    for _ in range(3):
        assert (await client.get("/tasks", headers=bearer("read"))).status_code == 200
    assert keys.reads == 1
    keys.put("read", revoked(keys.key("read"), clock.now))

    clock.advance(10)

    problem(await client.get("/tasks", headers=bearer("read")), 401)


@pytest.mark.parametrize("path", ["/tasks", "/tasks/batch"])
async def test_a_key_that_is_revoked_while_a_body_comes_submits_nothing(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock, path: str
) -> None:
    async def body() -> AsyncIterator[bytes]:
        task = b'{"taskId": "t", "payload": {}}'
        yield b'{"tasks": [' if path == "/tasks/batch" else b" "
        keys.put("submit", revoked(keys.key("submit"), clock.now))
        clock.advance(10)
        yield task + (b"]}" if path == "/tasks/batch" else b"")

    problem(await client.post(path, headers=bearer("submit"), content=body()), 401)

    assert await keys.get("t") is None


async def test_a_key_that_is_revoked_before_a_late_body_comes_in_one_piece_submits_nothing(
    guarded: App, keys: Keyring, clock: Clock
) -> None:
    async def late() -> Message:
        keys.put("submit", revoked(keys.key("submit"), clock.now))
        clock.advance(10)
        return {"type": "http.request", "body": b'{"taskId": "t", "payload": {}}'}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer submit")]
    call = {"type": "http", "method": "POST", "path": "/tasks", "raw_path": b"/tasks",
            "query_string": b"", "headers": headers, "scheme": "http"}  # fmt: skip
    await guarded(call, late, send)

    assert sent[0]["status"] == 401
    assert await keys.get("t") is None


async def test_a_new_key_holds_at_once_though_another_was_unknown_just_before(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    problem(await client.get("/tasks", headers=bearer("new")), 401)
    keys.add("new", KeyScope.READ)

    clock.advance(1)

    assert (await client.get("/tasks", headers=bearer("new"))).status_code == 200


async def test_guesses_cost_no_more_than_a_read_a_second(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    for second in range(3):
        for number in range(50):
            await client.get("/tasks", headers=bearer(f"guess-{number}"))
        assert keys.reads == second + 1
        clock.advance(1)


async def test_a_key_ends_when_it_expires_to_the_moment(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    brief = replace(keys.key("read"), expires_at=clock.now + 5)
    keys.put("read", brief)
    assert (await client.get("/tasks", headers=bearer("read"))).status_code == 200

    clock.now += 5

    problem(await client.get("/tasks", headers=bearer("read")), 401)


async def test_a_rotated_key_is_known_by_both_until_the_old_one_ends(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    keys.put("read", rotated(keys.key("read"), digest("newer"), clock.now + 60))
    for text in ("read", "newer"):
        assert (await client.get("/tasks", headers=bearer(text))).status_code == 200

    clock.now += 60

    problem(await client.get("/tasks", headers=bearer("read")), 401)
    assert (await client.get("/tasks", headers=bearer("newer"))).status_code == 200


async def test_a_clock_that_went_back_makes_it_look_again(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    await client.get("/tasks", headers=bearer("read"))
    keys.put("read", revoked(keys.key("read"), clock.now))

    clock.advance(-3600)

    problem(await client.get("/tasks", headers=bearer("read")), 401)


async def test_the_hour_of_the_last_use_is_noted_once(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    noted: list[dict[str, Micros]] = []
    note = keys.used_keys

    async def used_keys(used_: Mapping[str, Micros]) -> None:
        noted.append(dict(used_))
        await note(used_)

    keys.used_keys = used_keys  # type: ignore[method-assign]
    hour = clock.now - clock.now % HOUR
    for _ in range(4):
        await client.get("/tasks", headers=bearer("read"))
        clock.advance(10)
    await client.get("/tasks", headers=bearer("read"))

    assert keys.key("read").used_at == hour
    assert len(noted) == 1
    assert keys.key("operate").used_at is None


async def test_a_use_in_the_next_hour_is_noted_though_the_key_was_looked_at_just_before(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    hour = clock.now - clock.now % HOUR + HOUR
    clock.now = hour - SECOND
    await client.get("/tasks", headers=bearer("read"))
    clock.advance(2)
    await client.get("/tasks", headers=bearer("read"))
    clock.advance(10)
    await client.get("/tasks", headers=bearer("operate"))

    assert keys.key("read").used_at == hour


async def test_while_keys_cannot_be_read_known_ones_hold_for_seconds_and_then_it_is_503(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    keys.away = True
    answer = await client.get("/tasks", headers=bearer("read"))
    problem(answer, 503)
    assert answer.headers["retry-after"] == "1"
    keys.away = False
    assert (await client.get("/tasks", headers=bearer("read"))).status_code == 200
    keys.away = True

    clock.advance(19)
    assert (await client.get("/tasks", headers=bearer("read"))).status_code == 200
    clock.advance(1)

    problem(await client.get("/tasks", headers=bearer("read")), 503)


async def test_readyz_asks_for_no_key_and_tells_its_reason_to_one_alone(
    client: httpx.AsyncClient, keys: Keyring
) -> None:
    async def away() -> None:
        raise LedgerUnavailable("at 10.1.2.3", words="is on strike")

    await client.get("/tasks", headers=bearer("read"))
    keys.ping = away  # type: ignore[method-assign]

    stranger = await client.get("/readyz")
    known = await client.get("/readyz", headers=bearer("work"))
    wrong = await client.get("/readyz", headers=bearer("guess"))

    assert [one.status_code for one in (stranger, known, wrong)] == [503] * 3
    assert "strike" in known.json()["detail"]
    assert "strike" not in stranger.text + wrong.text


async def test_readyz_tells_a_revoked_key_no_reason_though_nothing_else_was_called(
    client: httpx.AsyncClient, keys: Keyring, clock: Clock
) -> None:
    """On AWS nothing reads the keys between two calls."""

    async def away() -> None:
        raise LedgerUnavailable("at 10.1.2.3", words="is on strike")

    keys.ping = away  # type: ignore[method-assign]
    first = await client.get("/readyz", headers=bearer("work"))
    keys.put("work", revoked(keys.key("work"), clock.now))
    clock.advance(60)
    later = await client.get("/readyz", headers=bearer("work"))
    keys.away = True
    clock.advance(60)
    while_away = await client.get("/readyz", headers=bearer("read"))

    assert "strike" in first.json()["detail"]
    assert "strike" not in later.text
    assert "strike" in while_away.json()["detail"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/"])
async def test_what_asks_for_no_key_does_not_wait_for_keys_to_be_read(
    client: httpx.AsyncClient, keys: Keyring, path: str
) -> None:
    async def hangs() -> list[Key]:
        await asyncio.Event().wait()
        return []

    keys.keys = hangs  # type: ignore[method-assign]
    async with asyncio.timeout(10):  # they are never read
        assert (await client.get(path, headers=bearer("read"))).status_code == 200


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
