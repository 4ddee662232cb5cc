"""Charges through `task.once`, with a key that the other side knows: each is booked once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.conformance.stage import submission
from tests.ports import free_port
from tests.process.service import until
from tests.soak.trees import HERE, Harm, Tree, marked, new_mark
from unlost.audit import audit
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.ledger.walking import pages
from unlost.task import TERMINAL, Record, State

CHARGES = int(os.environ.get("UNLOST_SOAK_CHARGES", "20_000"))
AT_ONCE = 500
"""Tasks that are submitted in one call."""

PATIENCE = 120.0
"""Seconds in which at least one task must come to its end, as long as any is left."""

SETTINGS: dict[str, Any] = {
    "handler": "charges_app:handlers", "concurrency": 24, "lease": 2, "grace": 1,
    "backoff_base": 0.05, "backoff_cap": 0.5, "attempt_timeout": 20, "max_retries": 100,
}  # fmt: skip


@contextmanager
def bookkeeper(folder: Path) -> Iterator[int]:
    """The service in a process of its own; its port."""
    command = [sys.executable, str(HERE / "bookkeeping.py"), str(folder / "books")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.soak
async def test_charges_are_booked_once_whatever_is_killed_or_paused(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20,000 charges, async and sync; each second a process of two trees is killed or paused."""
    seed = request.config.getoption("--soak-seed", 1)
    with bookkeeper(tmp_path) as port:
        monkeypatch.setenv("BOOKKEEPER", str(port))
        monkeypatch.setenv("SHIPPED", str(tmp_path / "shipped"))
        told = await charged(tmp_path, CHARGES, seed)
    print(json.dumps(told, indent=2))
    assert told["charges asked for again"] > 0


async def charged(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Charge so often while processes are killed and paused; what came of it."""
    random, mark, url = Random(seed), new_mark(), f"sqlite:///{folder}/ledger.db"
    ledger = await open_ledger(url)
    settings = SETTINGS | {"ledger": url}
    trees = [
        Tree("serve", "serve", folder, mark, port=free_port(), workers=2, **settings),
        Tree("worker", "worker", folder, mark, workers=1, **settings),
    ]
    harm = Harm(trees, random)
    try:
        async with asyncio.TaskGroup() as group:
            for tree in trees:
                group.create_task(tree.keep())
            await _all_ready(trees)
            submitting = group.create_task(_submit(ledger, count, random))
            await _ended(ledger, count, harm, random)
            await submitting
            harm.stop()
            await _all_ready(trees)
            assert [await tree.stop() for tree in trees] == [0, 0]
        await until(lambda: not marked(mark))
        found = await audit(ledger)
        assert found.ok, found.violations
        records = [entry async for entry in _records(ledger)]
    finally:
        harm.stop()
        for tree in trees:
            tree.end()
        await ledger.close()
    assert len(records) == count
    assert [tree.odd_ends for tree in trees] == [[], []]
    return _account(folder, records) | {"seed": seed, "harm": dict(harm.done)}


async def _all_ready(trees: list[Tree]) -> None:
    for tree in trees:
        await tree.ready()


async def _submit(ledger: Ledger, count: int, random: Random) -> None:
    for first in range(0, count, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, count))
        await ledger.submit([_charge(number, random) for number in numbers])


def _charge(number: int, random: Random) -> Any:
    kind = "charges sync" if number % 5 == 0 else "charges"
    payload = json.dumps({"seconds": round(random.uniform(0, 0.02), 4)})
    return submission(f"c{number}", payload, type=kind)


async def _ended(ledger: Ledger, count: int, harm: Harm, random: Random) -> None:
    """Do harm until every task is over."""
    loop = asyncio.get_running_loop()
    over, since = -1, loop.time()
    while over < count:
        await asyncio.sleep(random.uniform(0.6, 1.2))
        harm.next()
        counts = await ledger.counts()
        now = sum(counts.states[state] for state in TERMINAL)
        if now != over:
            over, since = now, loop.time()
        assert loop.time() - since < PATIENCE, f"nothing moves: {counts}"


async def _records(ledger: Ledger) -> Any:
    async for page in pages(ledger.copies, lambda one: one[0]):
        for _, copy in page:
            yield copy.record


def _account(folder: Path, records: list[Record]) -> dict[str, Any]:
    """Compare what the ledger says with the books, and with what was shipped."""
    booked: dict[str, list[tuple[int, str]]] = defaultdict(list)
    again = 0
    for line in (folder / "books").read_text().splitlines():
        number, key, task_id, how = line.split()
        if how == "new":
            booked[task_id].append((int(number), key))
        again += how == "again"
    shipped: dict[str, set[str]] = defaultdict(set)
    for line in (folder / "shipped").read_text().splitlines():
        task_id, _, label = line.split()
        shipped[task_id].add(label)
    assert Counter(record.state for record in records) == {State.SUCCEEDED: len(records)}
    assert {name: len(entries) for name, entries in booked.items() if len(entries) != 1} == {}
    assert len({entries[0][1] for entries in booked.values()}) == len(records), "keys are shared"
    for record in records:
        entry, label = json.loads(record.result or "[]")
        assert entry == booked[record.task_id][0][0], record
        assert label in shipped[record.task_id], record
    attempts = Counter(str(one.outcome) for record in records for one in record.attempts)
    return {
        "tasks": len(records),
        "attempts": dict(attempts),
        "charges asked for again": again,
        "shipped more than once": sum(len(labels) > 1 for labels in shipped.values()),
    }
