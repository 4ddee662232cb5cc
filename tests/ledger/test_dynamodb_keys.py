"""Keys that the first release has kept by their digests go on, and get a place by their name."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.stage import Clock
from tests.ledger.tables import Table
from unlost.access.keys import Key, Secret, digest
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.connection.writes import Put

OLD = Key("old", frozenset({"submit", "read"}), 5, (Secret(digest("old")),))


@pytest.fixture
async def kept(table: Table) -> None:
    """A key as the first release has written it."""
    calls = Calls(table.name, table.client)
    await calls.write(
        Put(
            {
                "pk": "keys",
                "sk": digest("old"),
                "name": "old",
                "scopes": ["read", "submit"],
                "created_at": 5,
            }
        )
    )
    await asyncio.to_thread(calls.close)


@pytest.mark.usefixtures("kept")
async def test_an_old_key_holds_and_its_name_and_secret_are_taken(
    table: Table, clock: Clock
) -> None:
    ledger = table.ledger(clock)
    assert await ledger.keys() == [OLD]
    for name, secret in (("old", "new"), ("new", "old")):
        taken = Key(name, frozenset(), 1, (Secret(digest(secret)),))
        assert await ledger.add_key(taken) == OLD
    await ledger.close()


@pytest.mark.usefixtures("kept")
async def test_an_old_key_is_used_rotated_and_revoked_as_any(table: Table, clock: Clock) -> None:
    ledger = table.ledger(clock)
    await ledger.used_keys({"old": 7_200_000_000})
    [key] = await ledger.keys()
    assert (key.used_at, key.secrets) == (7_200_000_000, OLD.secrets)
    await ledger.rotate_key("old", digest("new"), 9)
    await ledger.revoke_key("old", 8)
    [key] = await ledger.keys()
    assert [secret.digest for secret in key.secrets] == [digest("new"), digest("old")]
    assert key.revoked_at == 8
    await ledger.close()
