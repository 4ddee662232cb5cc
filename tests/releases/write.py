"""Writes ledgers as a release left them, for the tests that open them with later code.

It runs with that release's own code and test aids, whose checkout is first on the path:

    git worktree add ../release 12ed790
    PYTHONPATH=../release/src:../release UNLOST_EMULATOR_PYTHON=$PWD/.venv/emulator/bin/python \\
        .venv/bin/python tests/releases/write.py tests/releases/12ed790

In the folder it leaves the SQLite file, SQL that makes PostgreSQL's tables anew, DynamoDB's items,
and what that release said of each of them (`Expected`; the same for all homes).
"""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec

from tests.aws.emulator import Emulator
from tests.conformance.stage import BOOM, LEASE, OTHER, Clock, Stage, ended, must_add_up
from tests.ledger.tables import Table
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost import carried, policy
from unlost.carried import Carried
from unlost.ledger.measured import Measured
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claimed, Copy, Group
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change, Control
from unlost.settings import Settings
from unlost.task import SECOND, Event, Micros, Outcome, State
from unlost.telemetry.measures import Measures, OfType
from unlost.webhooks.notices import Notices

SQLITE = "ledger.db.gz"
POSTGRES = "ledger.sql"
DYNAMODB = "items.jsonl"
EXPECTED = "expected.json"

DAY = 86_400.0

MEASURES = Measures({"mail": OfType({"succeeded": 2, "timed_out": 1})})
"""What a process has measured, where the home keeps that."""


class Expected(msgspec.Struct, frozen=True):
    """What the release said of its ledger, at the moment `now`."""

    now: Micros
    copies: list[Copy]
    controls: list[Control]
    groups: list[Group]
    accepted: int
    settled: int
    states: dict[State, int]


async def live(stage: Stage) -> None:
    """Bring tasks into every state, in every way that this release has."""
    for part in (purged, succeeded, died, cancelled, held_back, waiting, running):
        await part(stage)
    if isinstance(stage.ledger, Measured):
        await stage.ledger.open_measures("old")
        await stage.ledger.publish_measures("old", MEASURES)


async def start(stage: Stage, task_type: str, worker: str = "old") -> Claimed:
    """Claim the task of this type that is due."""
    (attempt,) = await stage.claim(worker=worker, types=(task_type,))
    return attempt


async def purged(stage: Stage) -> None:
    await stage.submit("purged", payload='{"to": "ann"}', type="mail")
    await stage.succeed(await start(stage, "mail"), '"sent"')
    stage.clock.advance(DAY)
    assert await stage.ledger.purge(stage.clock.now, 10) == 1


async def succeeded(stage: Stage) -> None:
    payload = '{"to": "ann", "text": "déjà vu ✓", "n": 1.0}'
    await stage.submit("succeeded", payload=payload, type="mail", priority=5, key="ann")
    late = await start(stage, "mail")
    error = policy.timed_out(late.timeout)
    await stage.settle(late, Outcome.TIMED_OUT, Event.RETRY, wait=2, error=error)
    stage.clock.advance(2)
    await stage.release(await start(stage, "mail"))
    stage.clock.advance(1)
    await stage.succeed(await start(stage, "mail"), '{"sent": true}')
    told = carried.write(Carried(callback_url="https://example.org/told", traceparent="00-1-2-01"))
    await stage.submit("told", type="mail", carried=told)
    attempt = await start(stage, "mail")
    end = ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED, result="[1, 2]")
    await stage.ledger.settle([Notices(Settings()).after(end, attempt)])


async def died(stage: Stage) -> None:
    ledger = stage.ledger
    await stage.submit("discarded", type="billing")
    await stage.die(await start(stage, "billing"), OTHER)
    await ledger.reported([report.id for report in await ledger.claim_reports(10, LEASE)])
    await ledger.discard("discarded", "ann", "of no use")
    await stage.submit("dead", payload='{"sum": 12}', type="billing", max_retries=1, timeout=5)
    await stage.retry(await start(stage, "billing"), wait=1)
    stage.clock.advance(1)
    await stage.die(await start(stage, "billing"))
    await stage.submit("dead-again", payload='{"sum": 13}', type="billing")
    await stage.die(await start(stage, "billing"))
    stage.clock.advance(1)
    await ledger.redrive("dead-again", "ann", "mended", '{"sum": 14}')
    await stage.die(await start(stage, "billing"))
    await stage.submit("redriven", type="billing")
    await stage.die(await start(stage, "billing"))
    stage.clock.advance(1)
    await ledger.redrive("redriven", None, None)


async def cancelled(stage: Stage) -> None:
    await stage.submit("cancelled", "cancelled-running", type="reports")
    await stage.ledger.cancel("cancelled", "ann", "not wanted")
    await start(stage, "reports")
    await stage.ledger.cancel("cancelled-running", None, None)


async def held_back(stage: Stage) -> None:
    """By a pause, an open circuit, and the room of a key."""
    ledger = stage.ledger
    await ledger.pause("reports", "ann", "the printer is out")
    await stage.submit("paused", type="reports")
    breaker = Breaker(minimum=2, pause=600 * SECOND)
    await ledger.change("flaky", Change(breaker=breaker))
    await stage.submit("failed-1", "failed-2", "tripped", type="flaky")
    for _ in range(2):
        await stage.retry(await start(stage, "flaky"), wait=3_600)
    assert await stage.claim(types=("flaky",)) == []
    await ledger.change("limited", Change(limit=3, key_limit=1))
    await stage.submit("of-ann", "of-ann-too", type="limited", key="ann")
    (only,) = await stage.claim(2, worker="old-gone", types=("limited",))
    assert only.task_id == "of-ann"


async def waiting(stage: Stage) -> None:
    await stage.submit("queued", payload="[null]", type="orders", key="bob", priority=-1)
    await stage.submit("delayed", type="later", delay=3_600)
    await stage.submit("at", type="later", run_at=stage.clock.now + 7_200 * SECOND)
    await stage.submit("retrying", type="retries")
    await stage.retry(await start(stage, "retries"), wait=60, error=BOOM)
    await stage.submit("lost", type="losses")
    await stage.lose(await start(stage, "losses"))


async def running(stage: Stage) -> None:
    """Beside `of-ann`: one whose worker goes on under the next release, and one that is lost."""
    await stage.submit("running", type="slow", max_retries=5, timeout=3_600)
    await start(stage, "slow", "old-alive")
    await stage.submit("running-again", type="slow-too")
    await stage.lose(await start(stage, "slow-too", "old-gone"))
    (again,) = await stage.claim(worker="old-solo", types=("slow-too",), alone=True)
    assert again.number == 2


async def written(ledger: Ledger, clock: Clock) -> Expected:
    """Live in an empty ledger, and tell how it stands then."""

    async def opener() -> Ledger:
        return ledger

    await live(Stage(ledger, clock, opener))
    await must_add_up(ledger)
    counts = await ledger.counts()
    copies = [copy for _, copy in await ledger.copies(0, 1_000)]
    copies.sort(key=lambda copy: copy.record.task_id)
    groups = sorted(await ledger.groups(), key=lambda group: group.fingerprint)
    return Expected(
        clock.now, copies, await ledger.controls(), groups, counts.accepted, counts.settled,
        dict(counts.states),
    )  # fmt: skip


async def sqlite(folder: Path) -> Expected:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "ledger.db"
        clock = Clock()
        ledger = await open_ledger(f"sqlite:///{path}", clock)
        expected = await written(ledger, clock)
        await ledger.close()
        db = apsw.Connection(str(path))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        (folder / SQLITE).write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return expected


async def postgres(folder: Path) -> Expected:
    with Server() as server, Database(server) as database:
        clock = Clock()
        ledger = await database.ledger(clock)
        expected = await written(ledger, clock)
        await ledger.close()
        command = [
            server._binary("pg_dump"), "--inserts", "--rows-per-insert=1000", "--no-owner",
            "--schema=unlost", database.url,
        ]  # fmt: skip
        dumped = subprocess.run(command, check=True, capture_output=True, text=True)
        # Lines with a backslash are for psql, comments name the version that dumped.
        lines = dumped.stdout.splitlines()
        kept = [line for line in lines if line and not line.startswith(("\\", "--"))]
        (folder / POSTGRES).write_text("\n".join(kept) + "\n")
    return expected


async def dynamodb(folder: Path) -> Expected:
    with tempfile.TemporaryDirectory() as place, Emulator(Path(place)) as emulator:
        with Table(emulator.url) as table:
            clock = Clock()
            ledger = table.ledger(clock)
            expected = await written(ledger, clock)
            await ledger.close()
            items = sorted(table.items(), key=item_key)
        lines = [msgspec.json.encode(item, order="sorted") for item in items]
        (folder / DYNAMODB).write_bytes(b"\n".join(lines) + b"\n")
    return expected


def item_key(item: dict[str, Any]) -> tuple[str, str]:
    """By what an item is found."""
    return item["pk"]["S"], item["sk"]["S"]


HOMES: list[Callable[[Path], Awaitable[Expected]]] = [sqlite, postgres, dynamodb]


async def main(folder: Path) -> None:
    """Write each home's ledger, and what is expected of all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    first, *others = [await home(folder) for home in HOMES]
    for other in others:
        assert other == first, (other, first)
    text = msgspec.json.format(msgspec.json.encode(first), indent=1)
    (folder / EXPECTED).write_bytes(text + b"\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
