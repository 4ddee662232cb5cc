"""Starts and ends the services that are measured, and weighs them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from bench.builds import THIS, Build


@contextlib.asynccontextmanager
async def running(
    *command: str, port: int | None = None, ready: bytes = b"", build: Build = THIS
) -> AsyncIterator[int]:
    """Run a Python module of a build until the end of the block; yields its process id once it is
    ready: when its port answers, or when it has said `ready` on stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, env=build.environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        if port is not None:
            await answers(port)
        elif ready:
            assert process.stderr is not None
            while ready not in (line := await process.stderr.readline()):
                if not line:
                    raise RuntimeError(f"{command} ended before it was ready")
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def answers(port: int) -> None:
    """Wait until something answers there; RuntimeError if nothing does."""
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise RuntimeError(f"nothing answers on port {port}")


def memory_of_tree(pid: int) -> float:
    """MiB that a process and its descendants occupy, shared pages shared out (PSS; Linux)."""
    root = psutil.Process(pid)
    members = [root, *root.children(recursive=True)]
    return float(sum(member.memory_full_info().pss for member in members)) / 2**20


def cpu_seconds(pid: int) -> float:
    """What a process and its descendants have had of the processors so far (Linux; threads that
    have ended are left out)."""
    root = psutil.Process(pid)
    spent = 0
    for member in [root, *root.children(recursive=True)]:
        for thread in Path(f"/proc/{member.pid}/task").iterdir():
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def environment() -> str:
    """What the figures were measured on, in a line."""
    return f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {sys.platform}"
