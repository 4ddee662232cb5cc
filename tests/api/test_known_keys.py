"""Keys that the service knows already: revoked, expired, rotated, in use, and out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
from msgspec.structs import replace
from starlette.types import Message

from tests.api.checks import problem
from tests.api.conftest import serving
from tests.api.keyring import Keyring, bearer
from tests.conformance.stage import Clock
from unlost.access.keys import HOUR, Key, KeyScope, digest, revoked, rotated
from unlost.api.app import App
from unlost.api.http.known_keys import KnownKeys
from unlost.ledger.protocol import LedgerUnavailable
from unlost.settings import Settings
from unlost.task import SECOND, Micros


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


async def test_a_use_just_before_the_stop_is_noted(keys: Keyring, clock: Clock) -> None:
    async with serving(keys, Settings(auth="keys"), clock=clock) as served:
        await served.client.get("/tasks", headers=bearer("read"))

    assert keys.key("read").used_at == clock.now - clock.now % HOUR


async def test_a_process_that_may_be_frozen_after_a_call_notes_the_use_within_it(
    keys: Keyring, clock: Clock
) -> None:
    known = KnownKeys(keys, clock, "memory://", frozen=True)
    hour = clock.now - clock.now % HOUR
    keys.away = True
    with pytest.raises(LedgerUnavailable):
        await known.find(digest("read"))
    keys.away = False
    assert await known.find(digest("read"))

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
