"""The files of a SQLite ledger, and what becomes of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from unlost.task import Submission

Act = Callable[[Path], None]


HOLDER = """
import asyncio, sys
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import LedgerGone
from unlost.ledger.sqlite.connection import writer
writer.LOOK = 0.02
async def main(url):
    ledger = await open_ledger(url)
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(0.2)
    try:
        await ledger.ping()
    except LedgerGone:
        print("LedgerGone", flush=True)
    await ledger.close()
asyncio.run(main(sys.argv[1]))
"""


def submission(task_id: str) -> Submission:
    return Submission(task_id, "{}", b"d" * 32)


def beside(file: Path, end: str) -> Path:
    return Path(f"{file}{end}")


def remove(*ends: str) -> Act:
    def act(file: Path) -> None:
        for end in ends:
            beside(file, end).unlink()

    return act


def move_all(file: Path) -> None:
    for end in ("", "-wal", "-shm", "-lock"):
        beside(file, end).rename(file.parent.parent / beside(file, end).name)


def replace(end: str) -> Act:
    """Put a copy in the file's place, as a restore or a deploy does."""

    def act(file: Path) -> None:
        copy = shutil.copy(beside(file, end), file.parent / "copy")
        Path(copy).rename(beside(file, end))

    return act


def until(holds: Callable[[], bool]) -> None:
    stop = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < stop, "it did not come to that in time"
        time.sleep(0.01)


LEAVER = """
import asyncio, os, sys
from unlost.ledger.opening import open_ledger
from unlost.task import Submission
async def main(url):
    ledger = await open_ledger(url)
    await ledger.submit([Submission("left", "{}", b"d" * 32)])
    os._exit(0)
asyncio.run(main(sys.argv[1]))
"""
