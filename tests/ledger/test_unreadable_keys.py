"""A key that cannot be read keeps no other from being used, in any home that is written to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import apsw
import httpx
import pytest

from tests.conformance.stage import Clock
from tests.ledger.tables import Table
from tests.postgres.databases import Database
from unlost.access.keys import Key, Secret, digest, unreadable
from unlost.api.app import create_app
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.connection.writes import Put
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, UnknownKey
from unlost.settings import Settings

GOOD = Key("good", frozenset({"read"}), 5, (Secret(digest("good")),))
BAD = Key("bad", frozenset({"read"}), 5, (Secret(digest("bad")),))
SPOILT = '{"name":"bad","scopes":7}'

Spoil = Callable[[], Awaitable[None]]


@pytest.fixture(params=["sqlite", "postgres", "dynamodb"])
async def home(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[tuple[Ledger, Spoil]]:
    """A ledger, and what makes the key named bad one that cannot be read."""
    match request.param:
        case "sqlite":
            path = tmp_path / "ledger.db"
            ledger = await open_ledger(f"sqlite:///{path}", clock)

            async def spoil() -> None:
                with apsw.Connection(str(path)) as db:
                    db.execute("UPDATE api_key SET key = ? WHERE name = 'bad'", (SPOILT,))

            yield ledger, spoil
            await ledger.close()
        case "postgres":
            with Database(request.getfixturevalue("postgres")) as database:
                ledger = await database.ledger(clock)

                async def spoil() -> None:
                    with database.connect() as db:
                        sql = "UPDATE unlost.api_key SET key = %s WHERE name = 'bad'"
                        db.execute(sql, (SPOILT,))

                yield ledger, spoil
                await ledger.close()
        case _:
            with Table(request.getfixturevalue("emulator").url) as table:
                ledger = table.ledger(clock)

                async def spoil() -> None:
                    calls = Calls(table.name, table.client)
                    await calls.write(Put({"pk": "keys", "sk": "name#bad", "key": SPOILT}))
                    await calls.write(Put({"pk": "keys", "sk": "name of the first release"}))
                    await asyncio.to_thread(calls.close)

                yield ledger, spoil
                await ledger.close()


async def test_a_key_that_cannot_be_read_opens_nothing_and_shuts_no_other_out(
    home: tuple[Ledger, Spoil], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ledger, spoil = home
    assert [await ledger.add_key(key) for key in (GOOD, BAD)] == [None, None]
    await spoil()

    transport = httpx.ASGITransport(create_app(ledger, Settings(auth="keys"), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for name, status in (("good", 200), ("bad", 401), ("good", 200)):
            answer = await client.get("/tasks", headers={"Authorization": f"Bearer {name}"})
            assert answer.status_code == status
    told = [one for one in caplog.records if one.getMessage() == "api.key_unreadable"]
    assert "bad" in [vars(one)["why"] for one in told]
    assert SPOILT not in caplog.text

    assert await ledger.add_key(BAD) == unreadable("bad")
    with pytest.raises(UnknownKey):
        await ledger.rotate_key("bad", digest("new"), 9)
    assert await ledger.revoke_key("bad", 8) == unreadable("bad")
    await ledger.used_keys({"good": 7_200_000_000})
    assert {key.name: key.used_at for key in await ledger.keys()}["good"] == 7_200_000_000
