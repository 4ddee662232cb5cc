"""How long a normal client waits beside each attack, and without one; one row an attack.

    python -m bench.under_attack [--attack NAME …] [--connections 1900] [--seconds 15] [--rounds 3]
                                 [--nice 0]

Calm and attacked spells take turns on one service.  The bound of three times the calm p99 is for
attacks that cost no processor; the others' rows are for comparison.  With more connections than the
service takes (2,000), all of them busy, nobody else gets one until some of them have ended.  The
attacking process runs on the same machine: with `--nice 19` it gets what others leave, which tells
what it takes of the processors from what it does to the service.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from bench.attacks import ATTACKS, Target, allow_files, attack
from bench.service import environment, running
from tests.ports import free_port

RATE: Final = 50
"""Submits a second of the normal client."""

NO_PROCESSOR: Final = ("silent connections", "slow heads", "slow bodies", "waits and streams",
                       "readers that never read")  # fmt: skip
BOUND: Final = 3.0


class Client:
    """Submits one task after another at a steady rate, on a connection that it keeps."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._count = 0

    async def spell(self, seconds: float) -> float:
        """The p99 of a submit, in milliseconds, tries that were in vain included."""
        waits = []
        end = due = time.monotonic()
        end += seconds
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._submit()
            waits.append(time.monotonic() - due)
            due += 1 / RATE
        return quantiles(waits, n=100)[98] * 1000

    async def _submit(self) -> None:
        self._count += 1
        body = json.dumps({"taskId": f"normal-{self._count}", "payload": {}}).encode()
        head = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        for _ in range(1_000):
            with contextlib.suppress(OSError, EOFError):
                if await self._call(head + body) in {200, 202}:
                    return
            self.close()
            await asyncio.sleep(0.01)
        raise RuntimeError("a task could not be submitted")

    async def _call(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        return int(head.split(b" ")[1])

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def measure(
    name: str, connections: int, seconds: float, rounds: int, nice: int
) -> tuple[float, float]:
    """The p99 in milliseconds without the attack and beside it: medians of rounds in turns."""
    port = free_port()
    calm, beside = [], []
    with tempfile.TemporaryDirectory() as folder:
        ledger = f"--ledger=sqlite:///{Path(folder) / 'ledger.db'}"
        async with running("unlost", "api", ledger, f"--port={port}", port=port):
            client = Client(port)
            await client.spell(1)
            for _ in range(rounds):
                calm.append(await client.spell(seconds))
                made = asyncio.Event()
                target = Target(port)
                harming = attack(target, name, connections, seconds + 3, made, nice)
                harm = asyncio.create_task(harming)
                await made.wait()
                await asyncio.sleep(1)  # what each sends first is on its way
                beside.append(await client.spell(seconds))
                await harm
            client.close()
    return median(calm), median(beside)


async def _rows(names: list[str], connections: int, seconds: float, rounds: int, nice: int) -> bool:
    """Print a row for each attack; whether all bounds hold."""
    title = f"p99 of a submit, {RATE} a second, {connections} connections — {environment()}"
    table = Table("beside", "calm", "attacked", "ratio", "bound", "", title=title)
    holds = True
    for name in names:
        calm, beside = await measure(name, connections, seconds, rounds, nice)
        missed = name in NO_PROCESSOR and beside > BOUND * calm
        holds = holds and not missed
        bound = f"≤ {BOUND:g}" if name in NO_PROCESSOR else ""
        figures = (f"{calm:.1f} ms", f"{beside:.1f} ms", f"{beside / calm:.2f}")
        table.add_row(name, *figures, bound, "MISSED" if missed else "")
    Console().print(table)
    return holds


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.under_attack", description=__doc__)
    parser.add_argument("--attack", action="append", choices=list(ATTACKS), help="may be repeated")
    parser.add_argument("--connections", type=int, default=1_900)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nice", type=int, default=0, help="of the attacking process")
    chosen = parser.parse_args()
    allow_files(1_000)
    names = chosen.attack or [*ATTACKS]
    rows = _rows(names, chosen.connections, chosen.seconds, chosen.rounds, chosen.nice)
    return 0 if uvloop.run(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
