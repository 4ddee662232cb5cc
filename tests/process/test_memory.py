"""Memory that lists, audits and exports of large dead letters take, and whether others wait."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.process.letters import bury
from tests.process.service import Service, children, service, until
from unlost.ledger.opening import open_ledger

MIB = 1024
"""In KiB, as the system tells sizes."""

LETTERS = 30
EVERYTHING = "include=payload,attempts,traceback,result"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process's peak"
)


class Api:
    """The API's process: what it answers, and what memory it takes (KiB)."""

    def __init__(self, running: Service) -> None:
        self._port = int(running.ready.rsplit(":", 1)[1])
        (self._pid,) = (pid for pid, line in children(running.process.pid) if line.endswith(" api"))

    def memory(self, name: str = "VmRSS") -> int:
        return memory(self._pid, name)

    def forget_peak(self) -> None:
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")

    async def get(self, path: str) -> bytes:
        """The body of an answer, which must be 200."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert " 200 " in head, head
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            return await reader.readexactly(length)
        finally:
            writer.close()

    async def longest_answer(self, until: asyncio.Event) -> float:
        """Seconds that the slowest of many looks at `/livez` took."""
        longest = 0.0
        while not until.is_set():
            began = time.monotonic()
            await self.get("/livez")
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.02)
        return longest

    async def beside(self, paths: list[str]) -> float:
        """All these calls at once; how long `/livez` took beside them."""
        done = asyncio.Event()
        looking = asyncio.create_task(self.longest_answer(done))
        await asyncio.gather(*map(self.get, paths))
        done.set()
        return await looking


def memory(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


async def peak_of(*command: str) -> int:
    """What memory a command has taken at most (KiB), as far as was seen; it must succeed."""
    full = [sys.executable, "-m", "unlost", *command]
    with subprocess.Popen(full, stdout=subprocess.DEVNULL) as process:
        peak = 0

        def ended() -> bool:
            nonlocal peak
            peak = max(peak, memory(process.pid, "VmHWM"))
            return process.poll() is not None

        await until(ended, within=60)
    assert process.returncode == 0
    return peak


async def test_audit_and_export_of_large_letters_take_little(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = await open_ledger(url)
    await bury(ledger, LETTERS)
    await ledger.close()
    empty = f"sqlite:///{tmp_path}/empty.db"
    await (await open_ledger(empty)).close()
    for command in ("audit", "export"):
        nothing = await peak_of(command, "--ledger", empty)
        assert await peak_of(command, "--ledger", url) - nothing <= 40 * MIB


async def test_any_number_of_lists_of_large_letters_takes_little_and_lets_others_be_answered(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, "api") as running:
        await bury(running.ledger, LETTERS)
        api = Api(running)
        await api.get("/dead-letters?limit=1")
        idle = api.memory()
        api.forget_peak()
        pages = [
            f"/dead-letters?limit=1000&{EVERYTHING}",
            f"/tasks?limit=1000&{EVERYTHING}",
            "/tasks?limit=1000&include=attempts,traceback",
        ]
        longest = await api.beside([*pages, "/audit", "/tasks/letter7"] * 4)
        peak = api.memory("VmHWM")
        await until(lambda: api.memory() <= idle + 16 * MIB, within=10)
    assert peak - idle <= 64 * MIB
    assert longest < 4  # on a machine that runs other tests as well; alone it is below 1
