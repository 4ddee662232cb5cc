"""Process trees that are killed between what a step does and its record."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.process.service import UNLOST, service, until
from unlost.effects import effect_key, idempotency_key
from unlost.ledger.sqlite.files.lock import LockFile
from unlost.task import Outcome

SETTINGS: dict[str, Any] = {
    "handler": "process_app:handlers", "lease": 2, "backoff_base": 0.1, "attempt_timeout": 3600,
}  # fmt: skip


async def test_what_was_not_recorded_is_done_again_with_the_same_key_and_nothing_else_is(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, "serve", **SETTINGS) as first:
        await first.submit("order", type="pays")
        await first.running("order")
        first.process.kill()
        await first.exit_status()
    async with service(tmp_path, "serve", **SETTINGS) as second:
        record = await second.ended("order")
        steps = await second.ledger.steps_of("order", results=True)
        secret = await second.ledger.effect_secret()
        assert await second.stop() == 0
        second.log()
    assert [one.outcome for one in record.attempts] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert record.result == "12"
    assert [(one.name, one.attempt, one.result) for one in steps] == [
        ("reserve", 1, "1"), ("charge", 2, "2")
    ]  # fmt: skip
    effect = effect_key(secret, "order", record.submitted_at)
    keys = {name: idempotency_key(effect, 0, name) for name in ("reserve", "charge")}
    assert (tmp_path / "order.acts").read_text().split("\n") == [
        f"reserve {keys['reserve']}", f"charge {keys['charge']}", f"charge {keys['charge']}", ""
    ]  # fmt: skip


async def test_an_effect_of_which_a_killed_worker_said_so_is_told_as_repeated(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, **SETTINGS) as running:
        await running.submit("order", type="charges and is killed")
        record = await running.ended("order")
        assert await running.stop() == 0
    assert [one.outcome for one in record.attempts] == [Outcome.LOST, Outcome.SUCCEEDED]
    command = (
        UNLOST,
        "effects",
        "--repeated",
        "--json",
        "--ledger",
        f"sqlite:///{tmp_path}/ledger.db",
    )
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path, timeout=60)
    [told] = json.loads(done.stdout)["effects"]
    assert (told["taskId"], told["name"], told["times"]) == ("order", "charged", 2)
    assert [(one["attempt"], one["outcome"]) for one in told["happened"]] == [
        (1, "lost"), (2, "succeeded")
    ]  # fmt: skip


async def test_a_record_outlasts_the_grace_period_and_its_process_is_not_killed_meanwhile(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, **{**SETTINGS, "lease": 30, "grace": 3}) as running:
        await running.submit("order", type="charges once told")
        await running.running("order")
        database = tmp_path / "ledger.db"
        lock = LockFile.open(database.with_name("ledger.db-lock"), database)
        with lock.held():  # nothing is recorded
            (tmp_path / "order.go").touch()
            await until((tmp_path / "order.charged").exists)
            running.process.terminate()
            await asyncio.sleep(5)  # the supervisor has killed by now what does not record
        lock.release()
        status = await running.exit_status()
        record = await running.ledger.get("order")
        steps = await running.ledger.steps_of("order", results=True)
    assert status == 0
    assert record is not None
    assert [(one.name, one.result) for one in steps] == [("charge", "7")]
    assert [one.outcome for one in record.attempts] == [Outcome.RELEASED]
