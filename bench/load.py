"""A load generator: a fixed number of connections, each with one request in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import cast

import msgspec


class Result(msgspec.Struct, frozen=True):
    """What a run of requests gave; latencies in seconds, sorted."""

    requests: int
    seconds: float
    latencies: list[float]
    refused: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def quantile(self, share: float) -> float:
        """The latency that `share` of the requests stayed below, in seconds."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


def request(
    path: str, body: bytes, content_type: str = "application/json", *, key: str | None = None
) -> bytes:
    """One POST as it goes over the wire."""
    authorization = "" if key is None else f"authorization: Bearer {key}\r\n"
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\n"
        f"{authorization}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete."""

    def __init__(self, requests: Iterator[bytes], run: _Run) -> None:
        self._requests = requests
        self._run = run
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        start = head.index(b"content-length:") + 15
        stop = head.find(b"\r\n", start)
        length = int(head[start : stop if stop > 0 else None])
        if len(self._buffer) < end + 4 + length:
            return
        self._run.answered(time.perf_counter() - self._sent, ok=head[9:10] == b"2")
        self._buffer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.closed(exc)

    def _next(self) -> None:
        wire = next(self._requests, None)
        if wire is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(wire)


class _Run:
    def __init__(self, connections: int) -> None:
        self.latencies: list[float] = []
        self.refused = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = connections

    def answered(self, latency: float, *, ok: bool) -> None:
        self.latencies.append(latency)
        self.refused += not ok

    def closed(self, fault: Exception | None) -> None:
        self._open -= 1
        if fault is not None and not self.done.done():
            self.done.set_exception(fault)
        elif self._open == 0 and not self.done.done():
            self.done.set_result(None)


async def drive(port: int, requests: Iterable[bytes], connections: int) -> Result:
    """Send all requests over so many connections; every answer is awaited."""
    loop = asyncio.get_running_loop()
    run = _Run(connections)
    source = iter(requests)
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(source, run), "127.0.0.1", port)
    await run.done
    seconds = time.perf_counter() - started
    return Result(len(run.latencies), seconds, sorted(run.latencies), run.refused)
