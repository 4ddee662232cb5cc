"""Columns of batches reach the server as they are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.postgres.databases import Database
from unlost.ledger.postgres.connection.arrays import (
    Array,
    Bigints,
    Blobs,
    Doubles,
    Integers,
    Texts,
)
from unlost.ledger.postgres.connection.connecting import Place


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        (Texts, "text", ["", "é😀", '"a,b"{}\\', "NULL"]),
        (Blobs, "bytea", [b"", b"\x00\xff"]),
        (Integers, "integer", [0, -1, 2**31 - 1]),
        (Bigints, "bigint", [0, -(2**63), 2**63 - 1]),
        (Doubles, "double precision", [0.0, -1.5, 1e300, 5e-324]),
    ],
)
async def test_an_array_arrives_as_it_is(
    database: Database, kind: type[Array], name: str, values: list[Any]
) -> None:
    db = await Place(database.url).connect()
    for sent in (values, [None, *values, None], values[:1]):
        cursor = await db.execute("SELECT %s, pg_typeof(%s)::text", [kind(sent), kind(sent)])
        assert await cursor.fetchone() == (sent, f"{name}[]")
    cursor = await db.execute("SELECT * FROM unnest(%s, %s)", [Integers([1, 2]), kind([None] * 2)])
    assert await cursor.fetchall() == [(1, None), (2, None)]
    await db.close()
