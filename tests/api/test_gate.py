"""That every call passes the rules on pages and names: by what it is called, and from where."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.checks import problem
from tests.conformance.stage import Clock
from unlost.api.app import App, create_app
from unlost.api.frame import Frame
from unlost.ledger.memory import MemoryLedger
from unlost.settings import Settings

APP = "https://app.example"
CALLS = sorted(
    {
        (route.operation.method, route.operation.path)
        for route in create_app(MemoryLedger(Clock()), Settings()).routes
    }
)
HEALTH = {"/livez", "/readyz"}
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:9"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
]


def made(clock: Clock, **given: Any) -> App:
    return create_app(MemoryLedger(clock), Settings(**{"auth": "none"} | given), clock)


def calling(app: App, host: str = "localhost") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=("10.0.0.2", 4711))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_no_call_is_done_for_a_page_of_another_origin(
    clock: Clock, method: str, path: str, headers: dict[str, str]
) -> None:
    async with calling(made(clock)) as api:
        refused = problem(await api.request(method, path, headers=headers), 403)

    assert refused["type"] == "urn:unlost:problem:foreign-page"


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_no_call_but_for_health_is_answered_under_a_foreign_name(
    clock: Clock, method: str, path: str
) -> None:
    async with calling(made(clock), "evil.example") as api:
        answer = await api.request(method, path)
    async with calling(made(clock, allowed_host=("evil.example",)), "evil.example") as api:
        if path != "/events":  # which would not end
            assert (await api.request(method, path)).status_code != 421

    if path in HEALTH:
        assert answer.status_code == 200
    else:
        assert problem(answer, 421)["type"] == "urn:unlost:problem:wrong-host"


async def test_behind_a_homes_own_gateway_the_name_is_the_gateways_to_check(clock: Clock) -> None:
    app = create_app(MemoryLedger(clock), Settings(), clock, frame=Frame(gateway=True))
    async with calling(app, "abc.execute-api.example") as api:
        assert (await api.get("/stats")).status_code == 200
        problem(await api.get("/stats", headers={"Origin": "http://evil.example"}), 403)


async def test_a_refused_page_changes_nothing(clock: Clock) -> None:
    async with calling(made(clock)) as api:
        task = {"taskId": "t", "payload": {}}
        for headers in FOREIGN:
            problem(await api.post("/tasks", json=task, headers=headers), 403)
            problem(await api.post("/types/default/pause", headers=headers), 403)
        own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
        problem(await api.post("/tasks", content=b'{"taskId":"t","payload":{}}', headers=own), 415)
        assert (await api.get("/stats")).json()["accepted"] == 0
        assert (await api.get("/types")).json() == {"types": []}
        assert (await api.post("/tasks", json=task, headers=own)).status_code == 202


async def test_a_page_of_an_allowed_origin_asks_first_and_reads_the_answer(clock: Clock) -> None:
    page = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    asks = page | {"Access-Control-Request-Method": "POST",
                   "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    async with calling(made(clock, cors_origin=(APP,))) as api:
        answer = await api.options("/tasks", headers=asks)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-headers"] == "Authorization, Content-Type"
        assert "POST" in answer.headers["access-control-allow-methods"].split(", ")
        done = await api.post("/tasks", json={"taskId": "t", "payload": {}}, headers=page)
        refused = await api.get("/tasks/nobody", headers=page)
        assert (done.status_code, refused.status_code) == (202, 404)
        for told in (answer, done, refused):
            assert told.headers["access-control-allow-origin"] == APP
            assert told.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in told.headers
        exposed = done.headers["access-control-expose-headers"]
        assert exposed == "Location, Retry-After, Idempotent-Replayed"
        assert (await api.get("/stats")).headers["vary"] == "Origin"

        other = await api.options("/tasks", headers=asks | {"Origin": "https://evil.example"})
        problem(other, 403)
        assert "access-control-allow-origin" not in other.headers


async def test_without_allowed_origins_nothing_is_said_of_them(clock: Clock) -> None:
    async with calling(made(clock)) as api:
        answer = await api.get("/stats", headers={"Origin": "http://localhost"})

    assert answer.status_code == 200
    assert "vary" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_believed_proxy_tells_by_which_name_it_was_called(clock: Clock) -> None:
    headers = {"Origin": "https://jobs.example", "X-Forwarded-Host": "jobs.example"}
    async with calling(made(clock, forwarded_allow_ips=("10.0.0.0/24",))) as api:
        assert (await api.get("/stats", headers=headers)).status_code == 200
    async with calling(made(clock, forwarded_allow_ips=("10.0.1.0/24",))) as api:
        problem(await api.get("/stats", headers=headers), 403)


HANDED_ON = [
    {"Forwarded": "for=10.1.2.3"},
    {"X-Forwarded-For": "10.1.2.3"},
    {"X-Forwarded-Proto": "https"},
    {"X-Real-IP": "10.1.2.3"},
    {"Via": "1.1 proxy"},
]


@pytest.mark.parametrize("headers", HANDED_ON)
async def test_a_none_that_nobody_wrote_is_for_this_machine_alone(
    clock: Clock, headers: dict[str, str]
) -> None:
    async with calling(made(clock, auth="")) as api:
        refused = problem(await api.get("/tasks", headers=headers), 403)
        assert (await api.get("/livez", headers=headers)).status_code == 200
        assert (await api.get("/tasks")).status_code == 200
    assert "--auth" in refused["detail"]
    async with calling(made(clock, auth="none")) as api:
        assert (await api.get("/tasks", headers=headers)).status_code == 200
    async with calling(made(clock, auth="keys")) as api:
        problem(await api.get("/tasks", headers=headers), 401)


@pytest.mark.parametrize(
    "given",
    [
        {"root_path": "/unlost"},
        {"allowed_host": ("unlost.example",)},
        {"forwarded_allow_ips": ("127.0.0.1",)},
        {"cors_origin": (APP,)},
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": "unlost.internal"},
        {"auth": "keys"},
    ],
)
async def test_keys_are_asked_for_wherever_others_may_reach_it(
    clock: Clock, given: dict[str, Any]
) -> None:
    async with calling(made(clock, **{"auth": ""} | given)) as api:
        problem(await api.get("/tasks"), 401)
    if "auth" not in given:
        async with calling(made(clock, auth="none", **given)) as api:
            assert (await api.get("/tasks")).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "[::1]"])
async def test_none_is_asked_for_on_a_loopback_address(clock: Clock, host: str) -> None:
    async with calling(made(clock, auth="", host=host)) as api:
        assert (await api.get("/tasks")).status_code == 200
