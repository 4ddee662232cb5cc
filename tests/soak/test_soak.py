"""Every process is killed and paused again and again under load; then the sums must be right."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.ports import free_port
from tests.process.service import until
from tests.soak import account, evidence, load
from tests.soak.clients import Clients
from tests.soak.evidence import Evidence, deaths
from tests.soak.trees import Harm, Tree, marked, new_mark
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.task import TERMINAL

TICKS = 30
TASKS_A_TICK = 680
LEASE = 2

SETTINGS: dict[str, Any] = {
    "handler": "soak_app:handlers", "concurrency": 24, "lease": LEASE, "grace": 1,
    "backoff_base": 0.05, "backoff_cap": 0.5, "attempt_timeout": 20,
    "max_retries": account.MAX_RETRIES,
}  # fmt: skip

PROGRESS = 90.0
"""Seconds in which at least one task must come to its end, as long as any is left."""

REPORTED = 90.0
"""Seconds for the last reports: a monitor that was killed held them for half a minute."""


class Soak:
    """Two trees on one ledger, clients, and harm; then the account."""

    def __init__(self, folder: Path, seed: int) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.mark = new_mark()
        self._ledger_url = f"sqlite:///{folder}/ledger.db"
        settings = SETTINGS | {"ledger": self._ledger_url}
        self._folder, self._seed = folder, seed
        self.trees = [
            Tree("serve", "serve", folder, self.mark, port=port, workers=2, **settings),
            Tree("worker", "worker", folder, self.mark, workers=1, **settings),
        ]
        self.clients = Clients(self.url, seed, folder / "told")
        self._random = Random(seed)
        self.harm = Harm(self.trees, self._random)
        self._began = time.monotonic()
        self.took: dict[str, float] = {}

    async def run(self, ticks: int) -> dict[str, object]:
        """Do it all; the summary.  Raises AssertionError for whatever is wrong."""
        try:
            async with asyncio.TaskGroup() as group:
                clients = group.create_task(self.clients.run())
                for tree in self.trees:
                    group.create_task(tree.keep())
                await self._all_ready()
                await self._harm_under_load(ticks)
                await self._all_ready()
                ledger = await open_ledger(self._ledger_url)
                await self._settled(ledger)
                await self._reported(ledger)
                await self._audited()
                clients.cancel()
                assert [await tree.stop() for tree in self.trees] == [0, 0]
            await until(lambda: not marked(self.mark))
            return await self._account(ledger)
        finally:
            self.harm.stop()
            for tree in self.trees:
                tree.end()

    async def _all_ready(self) -> None:
        for tree in self.trees:
            await tree.ready()

    def _passed(self, what: str) -> None:
        self.took[what] = round(time.monotonic() - self._began, 1)

    async def _harm_under_load(self, ticks: int) -> None:
        """Each tick a share of the tasks is there to be submitted, and some harm is done."""
        for tick in range(ticks):
            for portion in load.portions(self._seed, tick * TASKS_A_TICK, TASKS_A_TICK):
                self.clients.portions.put_nowait(portion)
            await self._tick()
            while not self.harm.next():
                await self._tick()
        self.harm.stop()
        self._passed("harm")
        await self.clients.portions.join()
        self._passed("submitted")

    async def _tick(self) -> None:
        await asyncio.sleep(self._random.uniform(0.6, 1.2))

    async def _settled(self, ledger: Ledger) -> None:
        """Return once every task is over; meanwhile some must become so again and again."""
        settled, since = -1, time.monotonic()
        while True:
            counts = await ledger.counts()
            if counts.accepted == sum(counts.states[state] for state in TERMINAL):
                break
            if counts.settled != settled:
                settled, since = counts.settled, time.monotonic()
            assert time.monotonic() - since < PROGRESS, f"nothing moves: {counts}"
            await asyncio.sleep(0.2)
        self._passed("settled")

    async def _reported(self, ledger: Ledger) -> None:
        """Return once the death of every task is in the log."""
        died = Counter(
            {task_id: deaths(one) for task_id, one in (await evidence.records(ledger)).items()}
        )
        end = time.monotonic() + REPORTED
        while not died <= self._reports():
            assert time.monotonic() < end, f"not reported: {died - self._reports()}"
            await asyncio.sleep(1)
        self._passed("reported")

    def _log(self) -> list[dict[str, Any]]:
        return evidence.log(path for tree in self.trees for path in tree.outputs)

    def _reports(self) -> Counter[str]:
        return evidence.by_task(self._log(), "task.dead_lettered")

    async def _audited(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=120) as http:
            found = (await http.get("/audit")).json()
        assert (found["ok"], found["lost"], found["violations"]) == (True, 0, [])
        command = [sys.executable, "-m", "unlost", "audit", "--ledger", self._ledger_url, "--json"]
        told = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
        assert told.returncode == 0, told
        assert json.loads(told.stdout)["states"] == found["states"]
        self._passed("audited")

    async def _account(self, ledger: Ledger) -> dict[str, object]:
        log = self._log()
        known = Evidence(
            await evidence.records(ledger),
            evidence.effects(self._folder / "effects"),
            evidence.told(self._folder / "told"),
            evidence.by_task(log, "task.dead_lettered"),
            evidence.by_task(log, "attempt.lost"),
        )
        await ledger.close()
        wrong = account.wrong(known)
        assert not wrong, "\n".join([f"{len(wrong)} faults", *wrong[:20]])
        for tree in self.trees:
            assert tree.odd_ends == []
            assert tree.outputs[-1].read_bytes().endswith(b"\n"), "it ended amid a line"
        self._passed("all")
        return account.summary(known) | {
            "seed": self._seed,
            "harm": dict(self.harm.done),
            "starts of supervisors": sum(len(tree.outputs) for tree in self.trees),
            "what clients met": dict(self.clients.trouble),
            "events": dict(Counter(line["event"] for line in log).most_common(12)),
            "seconds": self.took,
        }


async def test_kills_of_every_process_under_load_lose_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """20,400 tasks; each second a process of two trees on one ledger is killed or paused."""
    seed = request.config.getoption("--soak-seed", 1)
    told = await Soak(tmp_path, seed).run(TICKS)
    print(json.dumps(told, indent=2))
    assert told["tasks"] == TICKS * TASKS_A_TICK


@pytest.mark.soak
async def test_the_same_for_as_long_as_told(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Soak after soak, each with a seed of its own."""
    seed = request.config.getoption("--soak-seed", 1)
    end = time.monotonic() + request.config.getoption("--soak-seconds", 600)
    while time.monotonic() < end:
        seed += 1
        folder = tmp_path / str(seed)
        folder.mkdir()
        print(json.dumps(await Soak(folder, seed).run(2 * TICKS)), flush=True)
        shutil.rmtree(folder)
