"""The relay of an outbox: rows a second beside batch submits, and from an application's commit to
the handler's start.

    python -m bench.outbox [--rows 40000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop

from bench import measures
from bench.builds import THIS
from bench.measures import HANDLER, PAYLOAD, READY
from bench.rows import Row, at_least, at_most
from bench.service import running
from tests.ports import free_port
from unlost.outbox.adding import add
from unlost.outbox.opening import open_outbox

PATIENCE: Final = 60.0
"""Seconds that the last rows have to reach their handlers."""


def _made(file: Path) -> str:
    url = f"sqlite:///{file}"
    outbox = open_outbox(url)
    outbox.create()
    outbox.close()
    return url


def _left(file: Path) -> int:
    db = sqlite3.connect(file)
    try:
        return int(db.execute("SELECT count(*) FROM unlost_outbox").fetchone()[0])
    finally:
        db.close()


def _started(ledger: Path) -> dict[str, int]:
    """When each task's attempt has started, of those that have."""
    db = sqlite3.connect(ledger, timeout=30)
    try:
        return dict(db.execute("SELECT id, started_at FROM task WHERE started_at IS NOT NULL"))
    finally:
        db.close()


async def relayed(folder: Path, count: int) -> float:
    """Rows a second that one relay brings to a service."""
    port = free_port()
    file = folder / f"rows-{port}.db"
    url = _made(file)
    db = sqlite3.connect(file)
    with db:
        rows = [(json.dumps(PAYLOAD),)] * count
        db.executemany("INSERT INTO unlost_outbox (payload) VALUES (?)", rows)
    db.close()
    api = ("unlost", "api", "--port", str(port), "--ledger", f"sqlite:///{folder}/r-{port}.db")
    relay = ("unlost", "outbox", "relay", "--database", url, "--url", f"http://127.0.0.1:{port}")
    async with running(*api, ready=READY), running(*relay, ready=b"relays"):
        first, began = await asyncio.to_thread(_left, file), time.perf_counter()
        while await asyncio.to_thread(_left, file):  # noqa: ASYNC110 - another's
            await asyncio.sleep(0.02)
        return first / (time.perf_counter() - began)


async def starts(folder: Path, rate: int, seconds: float) -> list[float]:
    """Seconds from each commit of an application to its handler's start, at a steady rate."""
    port = free_port()
    file, ledger = folder / f"starts-{port}.db", folder / f"l-{port}.db"
    url = _made(file)
    committed: dict[str, float] = {}
    command = (
        "unlost", "serve", "--port", str(port), "--ledger", f"sqlite:///{ledger}",
        "--outbox", url, *HANDLER,
    )  # fmt: skip
    async with running(*command, ready=READY):
        db, began = sqlite3.connect(file, timeout=30), time.perf_counter()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0, began + number / rate - time.perf_counter()))
            task = add(db, PAYLOAD)
            db.commit()
            committed[task] = time.time()
        db.close()
        async with asyncio.timeout(PATIENCE):
            while len(times := await asyncio.to_thread(_started, ledger)) < len(committed):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    return sorted(times[task] / 1e6 - at for task, at in committed.items())


async def measure(folder: Path, count: int, rounds: int) -> list[Row]:
    """All rows."""
    shares: list[float] = []
    rates: list[float] = []
    waits: list[float] = []
    for _ in range(rounds):
        bulk = await measures.batch_submits(folder, THIS, count)
        rates.append(await relayed(folder, count))
        shares.append(rates[-1] / bulk)
        waits += await starts(folder, 50, 5.0)
    p50 = statistics.median(waits) * 1000
    return [
        Row("outbox: rows that a relay submits", f"{statistics.median(rates):,.0f}/s"),
        at_least("outbox: the relay's rate : batch submits", statistics.median(shares), 0.2),
        at_most("outbox: an application's commit → handler starts, p50", p50, 30, ".1f", " ms"),
    ]


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.outbox", description=__doc__)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the databases lie (its disk counts)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        rows = uvloop.run(measure(Path(folder), chosen.rows, chosen.rounds))
    for row in rows:
        print(row.what, row.figure, row.bound, "" if row.holds else "MISSED")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
