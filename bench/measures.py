"""What is measured, one function a row.  Each runs one build once; rounds are the caller's."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path

import apsw
import msgspec

from bench.builds import Build
from bench.load import Result, drive, request
from bench.service import memory_of_tree, running
from tests.ports import free_port
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claim, Settlement, Worker
from unlost.policy import Limits
from unlost.task import SECOND, Event, Outcome, Submission

CONNECTIONS = 64
PAYLOAD = {"invoice": 123456, "customer": "c-0123456789", "note": "x" * 140}
READY = b"listening on"
HANDLER = ("--handler", "bench.handlers:handlers", "--workers", "2")

SYNCED = 6 * (24 + 4096)
"""Bytes that one submit writes to the log."""


def bodies(count: int, prefix: str) -> list[bytes]:
    """Requests for so many new tasks."""
    return [
        json.dumps({"taskId": f"{prefix}-{number}", "payload": PAYLOAD}).encode()
        for number in range(count)
    ]


class Submits(msgspec.Struct, frozen=True):
    """Single submits to each build (this one first) and to the bare app, in turns."""

    builds: list[list[Result]]
    bare: list[Result]


async def single_submits(
    folder: Path, every: list[Build], clients: int, count: int, rounds: int
) -> Submits:
    """Durable single submits over HTTP, each client on one connection with one in flight; the
    first round warms up."""
    ports = [free_port() for _ in [*every, "bare"]]
    results: list[list[Result]] = [[] for _ in ports]
    async with AsyncExitStack() as stack:
        for port, build in zip(ports, every, strict=False):
            ledger = f"sqlite:///{folder}/submits-{port}.db"
            command = ("unlost", "api", "--port", str(port), "--ledger", ledger)
            await stack.enter_async_context(running(*command, ready=READY, build=build))
        bare = ("bench.bare", "--port", str(ports[-1]))
        await stack.enter_async_context(running(*bare, port=ports[-1]))
        for turn in range(-1, rounds):
            wires = [request("/tasks", body) for body in bodies(count, f"r{turn}")]
            for port, found in zip(ports, results, strict=True):
                result = await drive(port, wires, clients)
                if result.refused:
                    raise RuntimeError(f"{result.refused} answers were no 2xx")
                if turn >= 0:
                    found.append(result)
    return Submits(results[:-1], results[-1])


async def batch_submits(folder: Path, build: Build, count: int) -> float:
    """Tasks a second over POST /tasks/batch, 1,000 a request, four in flight."""
    url = f"sqlite:///{folder}/batches-{free_port()}.db"
    result = await submit_in_batches(build, url, count)
    return count / result.seconds


async def submit_in_batches(build: Build, url: str, count: int) -> Result:
    """Fill a ledger."""
    port, lines = free_port(), bodies(count, "b")
    wires = [
        request("/tasks/batch", b"\n".join(lines[start : start + 1000]), "application/x-ndjson")
        for start in range(0, count, 1000)
    ]
    command = ("unlost", "api", "--port", str(port), "--ledger", url)
    async with running(*command, ready=READY, build=build):
        result = await drive(port, wires, 4)
    if result.refused:
        raise RuntimeError(f"{result.refused} batches were refused")
    return result


async def processing(folder: Path, build: Build, count: int) -> float:
    """No-op tasks a second to their end, every attempt kept: from the first start to the last
    settlement of a backlog, with two workers."""
    file = folder / f"processing-{free_port()}.db"
    url = f"sqlite:///{file}"
    await submit_in_batches(build, url, count)
    command = ("unlost", "worker", "--ledger", url, *HANDLER, "--concurrency", "200")
    async with running(*command, build=build):
        while rows(file, "SELECT settled FROM tally")[0] != (count,):  # noqa: ASYNC110 - another's
            await asyncio.sleep(0.05)
    [(first, last)] = rows(file, "SELECT min(started_at), max(finished_at) FROM attempt")
    return float(count / ((last - first) / SECOND))


def rows(file: Path, sql: str) -> list[tuple[int, ...]]:
    """What a ledger's file says, whichever build it is of."""
    db = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        db.set_busy_timeout(2_000)
        return list(db.execute(sql))
    finally:
        db.close()


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from the client's call, and from acceptance, to the handler's start; and the
    whole tree's memory, MiB."""

    called_p50: float
    called_p99: float
    accepted_p50: float
    memory: float


async def start_latency(folder: Path, build: Build, rate: int, seconds: float) -> Latency:
    """Submit at a steady rate, on one connection, to an otherwise idle service."""
    port = free_port()
    file = folder / f"latency-{port}.db"
    command = ("unlost", "serve", "--port", str(port), "--ledger", f"sqlite:///{file}", *HANDLER)
    async with running(*command, ready=READY, build=build) as pid:
        called = await call_steadily(port, bodies(int(rate * seconds), "l"), rate)
        await asyncio.sleep(0.5)
        memory = memory_of_tree(pid)
    sql = "SELECT submitted_at, started_at FROM task ORDER BY seq"  # of the only attempt
    times = rows(file, sql)
    calls = sorted(began - at for at, (_, began) in zip(called, times, strict=True))
    waits = sorted(began - submitted for submitted, began in times)
    middle, late = len(calls) // 2, int(0.99 * len(calls))
    return Latency(calls[middle] / 1000, calls[late] / 1000, waits[middle] / 1000, memory)


async def call_steadily(port: int, tasks: list[bytes], rate: int) -> list[int]:
    """Submit; when each call was made (microseconds since the epoch)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started, called = time.perf_counter(), []
    for number, body in enumerate(tasks):
        await asyncio.sleep(max(0, started + number / rate - time.perf_counter()))
        called.append(time.time_ns() // 1000)
        writer.write(request("/tasks", body))
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    return called


def sync(folder: Path, times: int = 1_000) -> float:
    """Seconds that an fdatasync takes (median), in a file that is there, after as many bytes as a
    submit writes."""
    path, data, taken = folder / "sync", os.urandom(SYNCED), []
    path.write_bytes(bytes(SYNCED * 64))
    with path.open("r+b", buffering=0) as file:
        os.fsync(file)
        for turn in range(times):
            file.seek(turn % 64 * SYNCED)
            file.write(data)
            began = time.perf_counter()
            os.fdatasync(file)
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


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


async def _fill(ledger: Ledger, count: int) -> None:
    payload = json.dumps(PAYLOAD)
    for start in range(0, count, 1000):
        await ledger.submit(
            [Submission(f"t{n}", payload, b"x" * 32) for n in range(start, start + 1000)]
        )
