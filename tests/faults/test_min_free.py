"""A disk that is nearly full takes no more tasks, and goes on with those that it has."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.stage import LEASE, must_add_up
from unlost.api.app import create_app
from unlost.api.calls.submitting import disk_space
from unlost.api.calls.submitting.disk_space import MIB, DiskSpace
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import LedgerUnfit
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.values import Claim, Settled, Settlement, Worker
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.task import Event, Outcome

LEAST = 20

LeaveFree = Callable[[int], None]
"""Leaves so many MiB free on the disk."""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, LeaveFree]]:
    """A disk of 64 MiB and how to fill it; where none can be mounted, one that tells lies."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    mounted = (
        mount is not None
        and subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=False
        ).returncode
        == 0
    )

    def fill(mib: int) -> None:
        filler = folder / "filler"
        filler.unlink(missing_ok=True)
        left = shutil.disk_usage(folder).free - mib * MIB
        if left > 0:
            filler.write_bytes(b"x" * left)

    def lie(mib: int) -> None:
        monkeypatch.setattr(SqliteLedger, "free", lambda _: mib * MIB)

    try:
        yield folder, fill if mounted else lie
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


@pytest.fixture
async def ledger(disk: tuple[Path, LeaveFree]) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(disk[0] / "ledger.db", wall_clock)
    yield ledger
    await must_add_up(ledger)
    await ledger.close()


@pytest.fixture
async def api(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(disk_space, "LOOK_EVERY", 0.0)
    transport = httpx.ASGITransport(create_app(ledger, Settings(min_free=LEAST)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def task(task_id: str) -> dict[str, Any]:
    return {"taskId": task_id, "payload": {}}


async def test_submits_are_refused_and_all_else_goes_on(
    disk: tuple[Path, LeaveFree], ledger: SqliteLedger, api: httpx.AsyncClient
) -> None:
    for name in ("runs", "waits"):
        assert (await api.post("/tasks", json=task(name))).status_code == 202
    await ledger.enlist(Worker("w", None), LEASE)
    [claimed] = await ledger.claim(Claim("w", ["token"], None, Limits(2, 60.0)))

    [left] = {"runs", "waits"} - {claimed.task_id}

    disk[1](LEAST // 2)
    for body in (task("new"), task("waits")):
        refused = await api.post("/tasks", json=body)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "10"
        assert "disk is nearly full" in refused.json()["detail"]
    batch = await api.post("/tasks/batch", json={"tasks": [task("b1"), task("b2")]})
    assert [item["status"] for item in batch.json()["results"]] == [503, 503]
    assert (await api.get("/readyz")).status_code == 200
    assert (await api.post(f"/tasks/{left}/cancel")).status_code == 200
    settled = await ledger.settle(
        [Settlement(claimed.task_id, "token", Outcome.SUCCEEDED, Event.SUCCEED, result="null")]
    )
    assert settled == [Settled.HELD]
    assert (await api.get("/stats")).json()["accepted"] == 2

    disk[1](LEAST * 2)
    assert (await api.post("/tasks", json=task("new"))).status_code == 202


class Ledger(MemoryLedger):
    """One whose disk has as much room as a test says."""

    room: int | None = 0
    looks = 0
    file = (1, 1)

    def check_file(self) -> None:
        """It is there."""

    def free(self) -> int:
        self.looks += 1
        if self.room is None:
            raise OSError
        return self.room


def test_the_disk_is_looked_at_once_a_second() -> None:
    ledger, now = Ledger(wall_clock), [0.0]
    space = DiskSpace(ledger, 1, lambda: now[0])
    for _ in range(3):
        with pytest.raises(LedgerUnfit, match="0 MiB are free"):
            space.check()
    ledger.room = MIB
    with pytest.raises(LedgerUnfit):
        space.check()
    assert ledger.looks == 1
    now[0] = 1.0
    space.check()
    ledger.room, now[0] = None, 2.0
    space.check()  # what is not known refuses nobody
    assert ledger.looks == 3


def test_zero_and_other_homes_have_no_bound() -> None:
    ledger = Ledger(wall_clock)
    DiskSpace(ledger, 0).check()
    DiskSpace(MemoryLedger(wall_clock), 200).check()
    assert ledger.looks == 0
