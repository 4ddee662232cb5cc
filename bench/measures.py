"""What is measured, one function a row."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from operator import attrgetter
from pathlib import Path

import msgspec

from bench.load import Result, drive, request
from bench.service import free_port, memory_of_tree, running
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claim, Settlement, Worker
from unlost.ledger.walking import pages
from unlost.policy import Limits
from unlost.task import SECOND, Event, Outcome, Submission

CONNECTIONS = 64
PAYLOAD = {"invoice": 123456, "customer": "c-0123456789", "note": "x" * 140}
READY = b"listening on"


def bodies(count: int, prefix: str) -> list[bytes]:
    """Requests for so many new tasks."""
    return [
        json.dumps({"taskId": f"{prefix}-{number}", "payload": PAYLOAD}).encode()
        for number in range(count)
    ]


class Submits(msgspec.Struct, frozen=True):
    """Single submits, and the bare app's, from interleaved rounds."""

    unlost: list[Result]
    bare: list[Result]

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios."""
        pairs = zip(self.unlost, self.bare, strict=True)
        return statistics.median(ours.rate / bare.rate for ours, bare in pairs)

    @property
    def p99_ratio(self) -> float:
        """Median of the rounds' ratios of the 99th percentile."""
        pairs = zip(self.unlost, self.bare, strict=True)
        return statistics.median(o.quantile(0.99) / b.quantile(0.99) for o, b in pairs)


async def single_submits(folder: Path, count: int, rounds: int) -> Submits:
    """Durable single submits over HTTP against the bare app, in turn."""
    port, bare_port = free_port(), free_port()
    ours, bare = [], []
    ledger = f"sqlite:///{folder}/submits.db"
    async with (
        running("bench.bare", "--port", str(bare_port), port=bare_port),
        running("unlost", "api", "--port", str(port), "--ledger", ledger, ready=READY),
    ):
        for turn in range(-1, rounds):  # the first warms up
            wires = [request("/tasks", body) for body in bodies(count, f"r{turn}")]
            pair = (
                await drive(port, wires, CONNECTIONS),
                await drive(bare_port, wires, CONNECTIONS),
            )
            if pair[0].refused or pair[1].refused:
                raise RuntimeError(f"{pair[0].refused} of our answers were no 2xx")
            if turn >= 0:
                ours.append(pair[0])
                bare.append(pair[1])
    return Submits(ours, bare)


async def batch_submits(folder: Path, count: int) -> float:
    """Tasks a second over POST /tasks/batch, 1,000 a request, four in flight."""
    port = free_port()
    lines = bodies(count, "b")
    wires = [
        request("/tasks/batch", b"\n".join(lines[start : start + 1000]), "application/x-ndjson")
        for start in range(0, count, 1000)
    ]
    ledger = f"sqlite:///{folder}/batches.db"
    async with running("unlost", "api", "--port", str(port), "--ledger", ledger, ready=READY):
        result = await drive(port, wires, 4)
    if result.refused:
        raise RuntimeError(f"{result.refused} batches were refused")
    return count / result.seconds


async def processing(folder: Path, count: int) -> float:
    """No-op tasks a second to their end, every attempt kept: from the first start to the last
    settlement of a backlog, with two workers."""
    url = f"sqlite:///{folder}/processing.db"
    ledger = await open_ledger(url)
    await _fill(ledger, count)
    handler = ("--handler", "bench.handlers:handlers", "--workers", "2", "--concurrency", "200")
    async with running("unlost", "worker", "--ledger", url, *handler):
        while (await ledger.counts()).settled < count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    first, last = 1 << 62, 0
    position = 0
    while entries := await ledger.entries(position, 1000):
        position = entries[-1].position
        first = min(first, *(entry.record.attempts[0].started_at for entry in entries))
        last = max(last, *(entry.record.updated_at for entry in entries))
    await ledger.close()
    return count / ((last - first) / SECOND)


async def _fill(ledger: Ledger, count: int) -> None:
    payload = json.dumps(PAYLOAD)
    for start in range(0, count, 1000):
        await ledger.submit(
            [Submission(f"t{n}", payload, b"x" * 32) for n in range(start, start + 1000)]
        )


class Latency(msgspec.Struct, frozen=True):
    """From accepted to handler started, milliseconds; and the whole tree's memory, MiB."""

    p50: float
    p99: float
    memory: float


async def start_latency(folder: Path, rate: int, seconds: float) -> Latency:
    """Submit at a steady rate to an otherwise idle service, and read the ledger's own times."""
    port = free_port()
    url = f"sqlite:///{folder}/latency.db"
    tasks = bodies(int(rate * seconds), "l")
    command = ("unlost", "serve", "--port", str(port), "--ledger", url,
               "--handler", "bench.handlers:handlers", "--workers", "2")  # fmt: skip
    async with running(*command, ready=READY) as pid:
        started = time.perf_counter()
        for number, body in enumerate(tasks):
            await asyncio.sleep(max(0, started + number / rate - time.perf_counter()))
            await drive(port, [request("/tasks", body)], 1)
        await asyncio.sleep(0.5)
        memory = memory_of_tree(pid)
    ledger = await open_ledger(url)
    records = [
        entry.record
        async for page in pages(ledger.entries, attrgetter("position"))
        for entry in page
    ]
    await ledger.close()
    waits = sorted(record.attempts[0].started_at - record.submitted_at for record in records)
    return Latency(waits[len(waits) // 2] / 1000, waits[int(0.99 * len(waits))] / 1000, memory)


async def claim_time(folder: Path, waiting: int) -> float:
    """Seconds to claim eight tasks (median of 100) with so many waiting."""
    ledger = await open_ledger(f"sqlite:///{folder}/claims-{waiting}.db")
    await _fill(ledger, waiting)
    await ledger.enlist(Worker("bench"), 3600 * SECOND)
    taken = []
    for _ in range(100):
        claim = Claim("bench", [os.urandom(16).hex() for _ in range(8)], None, Limits(2, 300.0))
        started = time.perf_counter()
        claimed = await ledger.claim(claim)
        taken.append(time.perf_counter() - started)
        await ledger.settle(
            [Settlement(c.task_id, c.token, Outcome.SUCCEEDED, Event.SUCCEED) for c in claimed]
        )
    await ledger.close()
    return statistics.median(taken)
