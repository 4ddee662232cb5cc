"""No statement on an outbox in PostgreSQL hangs on what the planner believes of it.

Each is explained where a relay sends it, among many rows, and undone: what it may look at is
bounded in rows, as for the ledger's own (`tests/postgres/statements`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

import pytest

from tests.outbox.places import Place, in_postgres
from tests.postgres.databases import Database
from tests.postgres.server import Server
from tests.postgres.statements.explaining import Explaining
from unlost.outbox import postgres as outbox
from unlost.outbox.store import MOST_ROWS

MANY: Final = 20_000
"""Rows of each kind: new, due again, and not yet."""

BATCH: Final = 100

FILL: Final = (
    f"""
    INSERT INTO unlost_outbox (id, created_at, payload, waits_until, answer)
    SELECT lpad(to_hex(n), 32, '0')::uuid, now() - interval '1 h' * (n % 7), '{{}}',
           CASE n % 3 WHEN 1 THEN now() - interval '1 s' WHEN 2 THEN now() + interval '9 min' END,
           CASE WHEN n % 3 > 0 THEN '503' END
    FROM generate_series(1, {3 * MANY}) AS n
    """,
    f"""
    INSERT INTO unlost_outbox_rejected (id, created_at, payload, status, reason)
    SELECT gen_random_uuid(), now(), '{{}}', 422, 'no' FROM generate_series(1, {MANY})
    """,
)

BELIEVED: Final = {
    "nothing": ((), ()),
    "everything": ((), ("ANALYZE unlost_outbox, unlost_outbox_rejected",)),
    "that they are empty": (("VACUUM ANALYZE unlost_outbox, unlost_outbox_rejected",), ()),
}


@pytest.fixture
def place(postgres: Server) -> Iterator[Place]:
    with Database(postgres) as database, in_postgres(database.url) as place:
        yield place


@pytest.mark.parametrize("believed", BELIEVED)
async def test_a_statement_looks_at_what_its_batch_has(place: Place, believed: str) -> None:
    before, after = BELIEVED[believed]
    async with await Explaining.connect(place.url, autocommit=True) as db:
        assert await found_wrong(db, before, after) == []


async def found_wrong(db: Explaining, before: Sequence[str], after: Sequence[str]) -> list[str]:
    for sql in (*before, *FILL, *after):
        await db.execute(sql)
    ids = [str(UUID(int=n)) for n in range(1, BATCH + 1)]
    statuses, reasons, seconds = [422] * BATCH, ["no"] * BATCH, [1.0] * BATCH
    steps: dict[str, tuple[str, object, int]] = {
        "take": (outbox._TAKE, {"lease": 60.0}, 3 * MOST_ROWS),
        "remove": (outbox._REMOVE, [ids], BATCH),
        "reject": (outbox._REJECT, [ids, statuses, reasons], BATCH),
        "delay": (outbox._DELAY, [ids, seconds, reasons], BATCH),
    }
    wrong = []
    for name, (sql, values, batch) in steps.items():
        await db.execute("BEGIN")
        await db.execute(outbox.HERE)
        await db.execute(sql, values)
        await db.execute("ROLLBACK")
        looked = [one for one in db.looked if one.sql == sql]
        assert looked, name
        for one in looked:
            for table, found in one.rows.items():
                if found > 8 * batch + 100:
                    wrong.append(f"{name}: {found} rows of {table} with {one.mode}")
    return wrong
