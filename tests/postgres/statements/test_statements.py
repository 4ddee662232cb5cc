"""No statement's work hangs on what the planner believes of the tables.

Each one is explained where its step sends it, with a custom and a generic plan, in a transaction
that is undone.  What it may look at is bounded in rows, never in seconds.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.postgres.server import Server
from tests.postgres.statements.explaining import MODES, Explaining, Looked
from tests.postgres.statements.filling import LARGEST, make
from tests.postgres.statements.source import statements
from tests.postgres.statements.step import Place, Step
from tests.postgres.statements.steps import STEPS
from tests.postgres.versions import SERVERS
from unlost.ledger.postgres.schema import SLOTS

TASKS: Final = 30_000
MANY: Final = int(os.environ.get("UNLOST_SOAK_TASKS", "10_000_000"))

TASK: Final = "unlost.task, unlost.payload, unlost.result, unlost.attempt"
OTHERS: Final = "unlost.open_task, unlost.act, unlost.dead, unlost.report, unlost.worker"

BELIEVED: Final = {  # whether the tables were emptied before they were filled, what was done then
    "nothing": (False, "SELECT 1"),
    "their size": (False, "VACUUM"),
    "everything": (False, "ANALYZE"),
    "that they are empty": (True, "SELECT 1"),
    "all of tasks, that the others are empty": (True, f"ANALYZE {TASK}"),
    "all of the others, that tasks are empty": (True, f"ANALYZE {OTHERS}"),
}

BATCHES: Final = (1, 100, 1_000, LARGEST)

QUICK: Final = {"everything": BATCHES}
"""The batches that are tried in seconds; for what else is believed, one and a hundred: a statement
that reads its batch again for each of its rows reads a hundred times a hundred."""

PAGES: Final = 5
"""Pages that are touched for a row: the index's, down to it, and the table's."""

LEFT: Final = 2_000
"""Pages that may be touched because of what other steps have left, though it was undone."""


class Filled:
    """Databases on a server with so many tasks, each made when it is first needed, to be copied."""

    def __init__(self, server: Server, tasks: int) -> None:
        self.server = server
        self.tasks = tasks
        self._made: set[str] = set()

    @asynccontextmanager
    async def place(self, believed: str) -> AsyncIterator[Place]:
        """A database of its own, of which this is believed."""
        emptied, then = BELIEVED[believed]
        source = "statements_emptied" if emptied else "statements_filled"
        if source not in self._made:
            self._do(f"CREATE DATABASE {source}")
            await make(self.server.url(source), self.tasks, emptied=emptied)
            self._made.add(source)
        self._do(f"CREATE DATABASE statements TEMPLATE {source} STRATEGY file_copy")
        with self.server.connect("statements") as db:
            db.execute(then)
        connection = await Explaining.connect(self.server.url("statements"), autocommit=True)
        try:
            yield Place(connection, self.tasks)
        finally:
            await connection.close()
            self._do("DROP DATABASE statements WITH (FORCE)")

    def drop(self) -> None:
        for source in self._made:
            self._do(f"DROP DATABASE {source}")

    def _do(self, sql: str) -> None:
        with self.server.connect() as db:
            db.execute(sql)


@pytest.fixture(scope="module")
def filled(postgres: Server) -> Iterator[Filled]:
    found = Filled(postgres, TASKS)
    yield found
    found.drop()


@pytest.fixture(scope="module", params=SERVERS)
def filled_up(request: pytest.FixtureRequest) -> Iterator[Filled]:
    """With as many tasks as a soak is about, on disk."""
    folder = Path("/tmp") if MANY > 1_000_000 else None
    with SERVERS[request.param](folder, max_wal_size="4GB") as server:
        yield Filled(server, MANY)


@pytest.mark.parametrize("believed", BELIEVED)
async def test_a_statement_looks_at_what_its_batch_has(filled: Filled, believed: str) -> None:
    async with filled.place(believed) as place:
        assert await _found(place, QUICK.get(believed, (1, 100))) == []


@pytest.mark.soak
@pytest.mark.parametrize("believed", BELIEVED)
async def test_a_statement_looks_at_what_its_batch_has_among_millions(
    filled_up: Filled, believed: str
) -> None:
    async with filled_up.place(believed) as place:
        assert await _found(place, BATCHES) == []


async def test_no_statement_is_left_out(filled: Filled) -> None:
    async with filled.place("nothing") as place:
        place.db.modes = ()
        for step in STEPS.values():
            await step.take(place, max(batch for batch in step.batches if batch <= 100))
        sent = place.db.sent
    missing = [where for where, one in statements() if not any(map(one.search, sent))]
    assert missing == []


async def _found(place: Place, batches: Collection[int]) -> list[str]:
    """What is wrong with the steps of such batches."""
    wrong = []
    for name, step in STEPS.items():
        for batch in sorted(set(batches) & set(step.batches)):
            place.db.looked.clear()
            # A generic plan is the same for each batch.
            place.db.modes = MODES if batch in (min(batches), max(batches)) else MODES[:1]
            done = await step.take(place, batch)
            assert done >= step.some(batch), (name, batch, done)
            for looked in place.db.looked:
                wrong += [f"{name}, {batch}: {what}" for what in _too_much(looked, step, batch)]
    return wrong


def _too_much(looked: Looked, step: Step, batch: int) -> Iterator[str]:
    rows = 8 * max(batch, step.least) + 100
    by = f"by {looked.sql} with {looked.mode}"
    for name, found in looked.rows.items():
        if found > rows and (name, found) != ("tally", SLOTS):
            yield f"{found} rows of {name} {by}"
    for name, found in looked.pages.items():
        if found > PAGES * rows + LEFT:
            yield f"{found} pages of {name} {by}"
