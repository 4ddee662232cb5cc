"""Attacks on a service with raw sockets, bounded in number and time, and a client beside them.

An attack is a process of its own: `python -m bench.attacks NAME PORT COUNT SECONDS`.  It prints a
line once its connections are made, where they are made only once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

HEAD = b"Host: localhost\r\n"


def allow_files(count: int) -> None:
    """Let this process open so many files, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


class Target:
    """A service's API on a port of this machine."""

    def __init__(self, port: int, pid: int = 0) -> None:
        self.port = port
        self.pid = pid

    def peak(self) -> int:
        """MiB of memory that its process has taken at most."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

    async def call(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """The answer to one call on a connection of its own, within 10 s."""
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                head = f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
                writer.write(head.encode() + HEAD + b"Connection: close\r\n\r\n" + body)
                answer = await reader.read()
            finally:
                writer.close()
        head_, _, rest = answer.partition(b"\r\n\r\n")
        return int(head_.split(b" ")[1]), rest

    async def submit(self, task_id: str) -> float:
        """Submit as a patient client does, again and again until it is stored; the seconds that
        the last try took."""
        body = json.dumps({"taskId": task_id, "payload": {}}).encode()
        for _ in range(100):
            began = time.monotonic()
            with contextlib.suppress(OSError, IndexError, TimeoutError):
                status, _ = await self.call("POST", "/tasks", body)
                if status in {200, 202}:
                    return time.monotonic() - began
                assert status == 503, status
            await asyncio.sleep(0.05)
        raise AssertionError(f"{task_id} could not be submitted")


class Probe:
    """Looks at `/livez` and submits tasks while something else goes on."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.longest = 0.0
        self.submitted: list[str] = []

    async def run(self) -> None:
        while True:
            began = time.monotonic()
            status, _ = await self._target.call("GET", "/livez")
            assert status == 200
            self.longest = max(self.longest, time.monotonic() - began)
            name = f"normal-{len(self.submitted)}"
            await self._target.submit(name)
            self.submitted.append(name)
            await asyncio.sleep(0.05)


Attack = Callable[[Target, int, float], Coroutine[Any, Any, None]]
"""A number of connections that do harm for so many seconds."""


@asynccontextmanager
async def opened(
    target: Target, count: int, room: int = 2**16
) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """So many connections, as many as can be made."""
    streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        for start in range(0, count, 200):
            made = await asyncio.gather(
                *(
                    asyncio.open_connection("127.0.0.1", target.port, limit=room)
                    for _ in range(min(200, count - start))
                ),
                return_exceptions=True,
            )
            streams += [stream for stream in made if not isinstance(stream, BaseException)]
        print("made", flush=True)
        yield streams
    finally:
        for _, writer in streams:
            writer.transport.abort()


async def _each(
    target: Target, count: int, seconds: float, begin: bytes, drip: bytes = b"", every: float = 0.5
) -> None:
    """Send something on each connection, and then a little again and again."""
    async with opened(target, count) as streams:
        for _, writer in streams:
            writer.write(begin)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(every)
            if drip:
                for _, writer in streams:
                    writer.write(drip)


async def silent_connections(target: Target, count: int, seconds: float) -> None:
    await _each(target, count, seconds, b"")


async def slow_heads(target: Target, count: int, seconds: float) -> None:
    await _each(target, count, seconds, b"GET /livez HTTP/1.1\r\n", b"X: y\r\n")


async def slow_bodies(target: Target, count: int, seconds: float) -> None:
    head = b"POST /tasks HTTP/1.1\r\n" + HEAD + b"Content-Length: 300000\r\n\r\n{"
    await _each(target, count, seconds, head, b" ")


async def waits(target: Target, count: int, seconds: float) -> None:
    await target.submit("waited-for")
    half = count // 2
    await asyncio.gather(
        _each(
            target, half, seconds, b"GET /tasks/waited-for?wait=30 HTTP/1.1\r\n" + HEAD + b"\r\n"
        ),
        _each(target, half, seconds, b"GET /events HTTP/1.1\r\n" + HEAD + b"\r\n"),
    )


async def readers_that_never_read(target: Target, count: int, seconds: float) -> None:
    asked = b"GET /openapi.json HTTP/1.1\r\n" + HEAD + b"\r\n"
    async with opened(target, count) as streams:
        for _, writer in streams:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(asked * 50)
        await asyncio.sleep(seconds)


async def large_bodies(target: Target, count: int, seconds: float) -> None:
    """Legal tasks of nearly the largest size from everywhere at once, over and over."""
    print("made", flush=True)
    end = time.monotonic() + seconds
    payload = "x" * 250_000

    async def one(number: int) -> None:
        turn = 0
        while time.monotonic() < end:
            turn += 1
            name = f"large-{number}-{turn}"
            body = json.dumps({"taskId": name, "payload": {"text": payload}}).encode()
            with contextlib.suppress(OSError, IndexError, TimeoutError):
                await target.call("POST", "/tasks", body)

    await asyncio.gather(*map(one, range(count)))


async def large_batches(target: Target, count: int, seconds: float) -> None:
    """Batches of 64 MiB, at most four at once."""
    line = json.dumps({"taskId": "batch-N", "payload": {"text": "x" * 200_000}})
    print("made", flush=True)
    end = time.monotonic() + seconds

    async def one(number: int) -> None:
        names = (f"b{number}-{index}" for index in range(64 * 2**20 // (len(line) + 30)))
        body = "\n".join(line.replace("batch-N", name) for name in names).encode()
        head = b"POST /tasks/batch HTTP/1.1\r\nContent-Type: application/x-ndjson\r\n"
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
                try:
                    writer.write(head + HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                    async with asyncio.timeout(60):
                        await reader.readuntil(b"\r\n")
                except (asyncio.IncompleteReadError, TimeoutError):
                    pass
                finally:
                    writer.transport.abort()

    await asyncio.gather(*map(one, range(min(count, 4))))


async def not_json(target: Target, count: int, seconds: float) -> None:
    """What is refused costs the one who sends it as much; paced."""
    print("made", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(min(count, 20)):
            with contextlib.suppress(OSError, IndexError, TimeoutError):
                await target.call("POST", "/tasks", b'{"taskId": "x", ' + b"[" * 2_000)
        await asyncio.sleep(0.1)


async def heaviest_lists(target: Target, count: int, seconds: float) -> None:
    """The largest pages that there are, asked for from everywhere, and read to their end."""
    text = "x" * 250_000
    for number in range(40):
        task = {"taskId": f"heavy-{number}", "payload": {"text": text}}
        await target.call("POST", "/tasks", json.dumps(task).encode())
    print("made", flush=True)
    end = time.monotonic() + seconds
    path = "/tasks?limit=1000&include=payload,result,attempts,traceback"

    async def one() -> None:
        while time.monotonic() < end:
            with contextlib.suppress(OSError, IndexError, ValueError, TimeoutError):
                await target.call("GET", path)
            await asyncio.sleep(0.05)

    await asyncio.gather(*(one() for _ in range(min(count, 20))))


async def replays(target: Target, count: int, seconds: float) -> None:
    """The same large task again and again, paced."""
    body = json.dumps({"taskId": "same", "payload": {"text": "x" * 100_000}}).encode()
    print("made", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, IndexError, ValueError, TimeoutError):
            await asyncio.gather(
                *(target.call("POST", "/tasks", body) for _ in range(min(count, 20)))
            )
        await asyncio.sleep(0.1)


ATTACKS: dict[str, Attack] = {
    "silent connections": silent_connections,
    "slow heads": slow_heads,
    "slow bodies": slow_bodies,
    "waits and streams": waits,
    "readers that never read": readers_that_never_read,
    "large bodies": large_bodies,
    "large batches": large_batches,
    "no JSON": not_json,
    "heaviest lists": heaviest_lists,
    "replays": replays,
}


async def attack(
    target: Target,
    name: str,
    count: int,
    seconds: float,
    made: asyncio.Event | None = None,
    nice: int = 0,
) -> None:
    """Have a process attack, and wait for its end; `made` is set once its connections are there.
    With `nice` it gets less of the processors than others."""
    command = (name, str(target.port), str(count), str(seconds))
    process = await asyncio.create_subprocess_exec(
        "nice", "-n", str(nice), sys.executable, "-m", "bench.attacks", *command,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds + 60):
            await process.stdout.readline()
        if made is not None:
            made.set()
        assert await asyncio.wait_for(process.wait(), seconds + 120) == 0
    finally:
        if process.returncode is None:
            process.kill()


if __name__ == "__main__":
    allow_files(12_000)
    asyncio.run(
        ATTACKS[sys.argv[1]](Target(int(sys.argv[2])), int(sys.argv[3]), float(sys.argv[4]))
    )
