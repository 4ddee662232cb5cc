"""Processes of entrants, each with what it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import IO, Final

PATIENCE: Final = 20.0
"""Seconds that a process has to end once it was told to."""


class Running:
    """Processes that run."""

    def __init__(self, processes: list[asyncio.subprocess.Process], complaints: IO[bytes]) -> None:
        self._processes = processes
        self._complaints = complaints

    @property
    def pids(self) -> list[int]:
        """Theirs."""
        return [process.pid for process in self._processes]

    def check(self) -> None:
        """Raise RuntimeError if one has ended."""
        if any(process.returncode is not None for process in self._processes):
            raise RuntimeError(f"a process has ended: {said(self._complaints)}")


def said(file: IO[bytes]) -> str:
    """The last of what was written to stderr."""
    file.seek(0)
    return file.read()[-2000:].decode(errors="replace")


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str], environment: Mapping[str, str] | None, number: int = 1
) -> AsyncIterator[Running]:
    """So many processes; told to end at the end of the block."""
    with tempfile.TemporaryFile() as complaints:
        started = [
            await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                start_new_session=True,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=complaints,
            )
            for _ in range(number)
        ]
        try:
            yield Running(started, complaints)
        finally:
            for process in started:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            for process in started:
                await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait until it is, and leave no child of it behind."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a process prints; RuntimeError if it fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=pipe, stderr=pipe
    )
    printed, complaints = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{command[:4]} failed: {complaints[-2000:].decode(errors='replace')}")
    return printed.decode()


def with_ran(environment: Mapping[str, str] | None, ran: os.PathLike[str]) -> dict[str, str]:
    """An environment in which workers find the file that they tell in."""
    return {**(os.environ if environment is None else environment), "RAN": str(ran)}
