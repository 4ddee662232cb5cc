"""A whole tree sleeps for longer than its lease, as a machine does, and then goes on."""

from __future__ import annotations

import asyncio
import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.process.service import until
from tests.soak import evidence
from tests.soak.trees import Tree, marked, new_mark
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.task import TERMINAL, Outcome, Record, State, Submission

SETTINGS: dict[str, Any] = {
    "handler": "soak_app:handlers", "workers": 1, "lease": 2, "backoff_base": 0.05,
}  # fmt: skip
LASTS = 3.0  # seconds, by the handler
TASK = "ghost"  # its first two attempts return; the handler decides that by its id


async def ended(ledger: Ledger, task_id: str) -> Record:
    """The task, once it is terminal."""
    async with asyncio.timeout(60):
        while True:
            record = await ledger.get(task_id)
            if record is not None and record.state in TERMINAL:
                return record
            await asyncio.sleep(0.02)


async def test_what_a_tree_that_slept_settles_late_is_refused(tmp_path: Path) -> None:
    """Its attempt was reaped; it ends while the next one runs elsewhere, which alone decides."""
    url, mark = f"sqlite:///{tmp_path}/ledger.db", new_mark()
    trees = [Tree("slept", "worker", tmp_path, mark, ledger=url, **SETTINGS)]

    def wrote(word: str, number: int) -> bool:
        file = tmp_path / "effects"
        effects = getattr(evidence.effects(file), word) if file.exists() else {}
        return (TASK, number) in effects

    ledger = await open_ledger(url)
    try:
        await trees[0].ready()
        digest = sha256(b"{}").digest()
        await ledger.submit([Submission(TASK, "{}", digest, type="waits long")])
        await until(lambda: wrote("started", 1))
        began = time.time()
        supervisor, [worker] = trees[0].supervisor(), trees[0].children("worker")
        assert supervisor is not None
        supervisor.suspend()
        worker.suspend()
        trees.append(Tree("awake", "worker", tmp_path, mark, ledger=url, **SETTINGS))
        await until(lambda: wrote("started", 2))
        await until(lambda: time.time() > began + LASTS)  # else it would be told in time
        worker.resume()
        await until(lambda: wrote("returned", 1))
        assert not wrote("returned", 2), "the machine was too slow for this test"
        record = await ended(ledger, TASK)
        assert record.state is State.SUCCEEDED
        assert [one.outcome for one in record.attempts] == [Outcome.LOST, Outcome.SUCCEEDED]
        assert json.loads(record.result or "")["number"] == 2
        supervisor.resume()
        await until(lambda: refused(trees[0]) == [TASK])
        assert [await tree.stop() for tree in trees] == [0, 0]
        await until(lambda: not marked(mark))
    finally:
        for tree in trees:
            tree.end()
        await ledger.close()


def refused(tree: Tree) -> list[str]:
    """The tasks of which the tree's log says that their settlement was refused."""
    return list(evidence.by_task(evidence.log(tree.outputs), "attempt.refused"))
