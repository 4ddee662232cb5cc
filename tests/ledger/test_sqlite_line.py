"""Those who write much stand in a line, of which one at a time asks for the lock: a submit waits
for one of them at most, however many there are."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unlost.ledger.opening import wall_clock
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.files.identity import LOCK
from unlost.ledger.sqlite.files.lock import LINE
from unlost.ledger.values import Claim, Worker
from unlost.policy import Limits
from unlost.task import SECOND, Submission

HOLDING = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, int(sys.argv[2]))
    print("held", flush=True)
    sys.stdin.read()
"""

LONG, SHORT = 30.0, 0.2


@contextmanager
def others_in_line(database: Path) -> Iterator[None]:
    """Another process is the first in the line."""
    command = [sys.executable, "-c", HOLDING, f"{database}{LOCK}", str(LINE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        yield
        other.communicate()


async def test_a_submit_does_not_stand_in_the_line_in_which_claims_wait(tmp_path: Path) -> None:
    database = tmp_path / "ledger.db"
    claims, submits = (SqliteLedger(database, wall_clock) for _ in range(2))
    await claims.enlist(Worker("w"), 60 * SECOND)
    for turn in range(2):  # whoever was in the line has left it
        with others_in_line(database):
            claiming = asyncio.ensure_future(
                claims.claim(Claim("w", [f"{turn:024}"], None, Limits(2, 300.0)))
            )
            await asyncio.wait([claiming], timeout=SHORT)
            assert not claiming.done()
            async with asyncio.timeout(LONG):
                await submits.submit([Submission(f"t{turn}", "{}", b"x" * 32)])
            assert not claiming.done()
        async with asyncio.timeout(LONG):
            assert [one.task_id for one in await claiming] == [f"t{turn}"]
    await claims.close()
    await submits.close()
