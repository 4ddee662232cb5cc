"""What a step asks of the disk, exactly: syncs, pages and writes, counted under SQLite.

One client's submit waits for all of it.  Who makes a step dearer has to say so here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import apsw
import pytest

from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.tasks import listing
from unlost.ledger.values import Claim, Claimed, Query, Settlement, Worker
from unlost.policy import Limits, error
from unlost.task import DEFAULT_TYPE, SECOND, Event, Outcome, State, Submission

PAGE = 4096  # bytes


class Counting(apsw.VFS):
    """The default VFS, over the system's own; counts by the file's ending and what is done."""

    def __init__(self) -> None:
        super().__init__("counting", "unix", makedefault=True)
        self.counted: Counter[str] = Counter()

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        if name is None:
            return apsw.VFSFile("unix", name, flags)
        return CountingFile(self.counted, name, flags)


class CountingFile(apsw.VFSFile):
    """An open file."""

    def __init__(
        self, counted: Counter[str], name: str | apsw.URIFilename, flags: list[int]
    ) -> None:
        super().__init__("unix", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._what = "log" if path.endswith("-wal") else "other"
        self._counted = counted

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._counted[f"{self._what} writes"] += 1
        self._counted["pages"] += len(data) == PAGE
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._counted[f"{self._what} syncs"] += 1
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._counted["truncations"] += 1
        super().xTruncate(size)


@pytest.fixture
def disk() -> Iterator[Counting]:
    counting = Counting()
    yield counting
    counting.unregister()


@pytest.fixture
async def ledger(disk: Counting, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger in which some tasks are over, some run and some wait."""
    opened = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    await opened.enlist(Worker("w"), 3600 * SECOND)
    await submit(opened, "before", 30)
    await settle(opened, await claim(opened, "over", 20))
    await claim(opened, "running", 2)
    yield opened
    await opened.close()


async def submit(ledger: Ledger, name: str, count: int = 1) -> None:
    payload = '{"note": "%s"}' % ("x" * 140)
    await ledger.submit([Submission(f"{name}{n}", payload, b"d" * 32) for n in range(count)])


async def claim(ledger: Ledger, name: str, count: int = 1) -> list[Claimed]:
    tokens = [f"{name}{n}" for n in range(count)]
    return await ledger.claim(Claim("w", tokens, None, Limits(2, 300.0)))


async def settle(ledger: Ledger, claimed: list[Claimed], result: str | None = None) -> None:
    await ledger.settle(
        [
            Settlement(c.task_id, c.token, Outcome.SUCCEEDED, Event.SUCCEED, result=result)
            for c in claimed
        ]
    )


async def cost(disk: Counting, step: Awaitable[object]) -> dict[str, int]:
    disk.counted.clear()
    await step
    return {what: count for what, count in disk.counted.items() if count}


def commit(pages: int) -> dict[str, int]:
    """One commit: each page and what stands before it in the log, and one sync."""
    return {"log writes": 2 * pages, "pages": pages, "log syncs": 1}


async def test_one_submit(disk: Counting, ledger: Ledger) -> None:
    """The task, its id's index, what is ready, what is open, its payload, the counters."""
    assert await cost(disk, submit(ledger, "new")) == commit(pages=6)


async def test_many_submits_in_one_step(disk: Counting, ledger: Ledger) -> None:
    """A sixth of a page each; the sync is shared."""
    found = await cost(disk, submit(ledger, "new", 100))
    assert found == commit(pages=16)


async def test_one_claim(disk: Counting, ledger: Ledger) -> None:
    """The task, what is ready, what runs, the counters."""
    assert await cost(disk, claim(ledger, "new")) == commit(pages=4)


async def test_one_settlement(disk: Counting, ledger: Ledger) -> None:
    """The task, what runs, what is open, the attempt, the counters; and a result, if any."""
    claimed = await claim(ledger, "new", 2)
    assert await cost(disk, settle(ledger, claimed[:1])) == commit(pages=5)
    await settle(ledger, await claim(ledger, "with a result"), "{}")
    assert await cost(disk, settle(ledger, claimed[1:], "{}")) == commit(pages=6)


async def test_what_asks_whether_there_are_writes_is_one_each_time(
    disk: Counting, ledger: Ledger
) -> None:
    for _ in range(2):
        assert await cost(disk, ledger.ping()) == commit(1)


async def test_a_claim_that_finds_nothing_and_a_replay_write_nothing(
    disk: Counting, ledger: Ledger
) -> None:
    await settle(ledger, await claim(ledger, "rest", 20))
    assert await cost(disk, claim(ledger, "new")) == {}
    assert await cost(disk, submit(ledger, "before")) == {}


async def instructions(ledger: Ledger, step: Awaitable[object]) -> int:
    """Instructions of SQLite's virtual machine."""
    counted = [0]

    def count() -> bool:
        counted[0] += 1
        return False

    assert isinstance(ledger, SqliteLedger)
    ledger._writer._db.set_progress_handler(count, 1)
    await step
    ledger._writer._db.set_progress_handler(None, 1)
    return counted[0]


async def test_a_claim_reads_of_many_types_no_more_than_it_takes(ledger: Ledger) -> None:
    """And one of each."""
    await settle(ledger, await claim(ledger, "rest", 20))
    for name in range(20):
        of_type = [Submission(f"{name}-{n}", "{}", b"d" * 32, type=str(name)) for n in range(50)]
        await ledger.submit(of_type)
    assert await instructions(ledger, claim(ledger, "new", 50)) < 50 * 250


async def test_a_list_of_what_waits_of_a_rare_type_looks_at_no_others(ledger: Ledger) -> None:
    """However many wait: here more than a page looks at."""
    await ledger.submit([Submission(f"{n}", "{}", b"d" * 32, type="rare") for n in range(10)])
    await submit(ledger, "many-", 5_000)
    query = Query(state=State.QUEUED, type="rare")

    async def look() -> None:
        assert isinstance(ledger, SqliteLedger)
        assert len(listing.page(ledger._writer._db, query).records) == 10

    assert await instructions(ledger, look()) < 10 * 300


async def test_lists_and_groups_of_what_is_over_look_at_no_others(ledger: Ledger) -> None:
    """However many were submitted since, died or were cancelled: here more than one page has."""
    await submit(ledger, "gone", 200)
    for n in range(100):
        await ledger.cancel(f"gone{n}", None, None)
    died = [
        Settlement(c.task_id, c.token, Outcome.FAILED, Event.DIE, error=error("Boom", "it broke"))
        for c in await claim(ledger, "dead", 100)
    ]
    await ledger.settle(died)
    counts = (await ledger.counts()).states
    assert (counts[State.CANCELLED], counts[State.DEAD]) == (100, 100)
    await submit(ledger, "many-", 5_000)
    assert isinstance(ledger, SqliteLedger)
    db = ledger._writer._db

    async def look(state: State) -> None:
        assert len(listing.page(db, Query(state=state, limit=10)).records) == 10

    async def group() -> None:
        [group] = listing.groups(db, 1 << 20, (DEFAULT_TYPE,))
        assert group.count == 100

    assert await instructions(ledger, look(State.CANCELLED)) < 10 * 300
    assert await instructions(ledger, look(State.DEAD)) < 10 * 300
    assert await instructions(ledger, group()) < 1_000


async def test_a_list_of_what_succeeded_looks_at_nothing_that_waits_above_it(
    ledger: Ledger,
) -> None:
    """However much was submitted since: here more than one page looks at."""
    await submit(ledger, "many-", listing.WALK + 1_000)
    assert isinstance(ledger, SqliteLedger)
    db = ledger._writer._db

    async def look() -> None:
        assert len(listing.page(db, Query(state=State.SUCCEEDED, limit=10)).records) == 10

    assert await instructions(ledger, look()) < 10 * 300
