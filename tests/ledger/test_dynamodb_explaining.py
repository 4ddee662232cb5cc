"""Why a task waits comes of several reads: what happens between them, and what they cost."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from tests.conformance.stage import LEASE, Clock, Stage
from tests.ledger.dynamodb_steps import never
from tests.ledger.tables import Table
from unlost.ledger.values import Worker
from unlost.limits.control import Change
from unlost.limits.why import EACH_ITS_OWN, Reason, why
from unlost.task import State


class Halting:
    """A client whose first look at the index waits for its `go`; it counts what it is asked."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self.reached, self.go = threading.Event(), threading.Event()
        self.keys = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **arguments: Any) -> Any:
        if "IndexName" in arguments:
            self.reached.set()
            self.go.wait(10)
        return self._client.query(**arguments)

    def batch_get_item(self, **arguments: Any) -> Any:
        with self._lock:
            [asked] = arguments["RequestItems"].values()
            self.keys += len(asked["Keys"])
        return self._client.batch_get_item(**arguments)


async def reasons(table: Table, stage: Stage, meanwhile: Any) -> tuple[Reason, State]:
    """What is told of the task `a`, where this happens between the reads."""
    client = Halting(table.client)
    ledger = table.ledger(stage.clock, client=client)
    asked = asyncio.create_task(ledger.facts(["a"]))
    await asyncio.to_thread(client.reached.wait, 10)
    await meanwhile
    client.go.set()
    facts = (await asked)["a"]
    await ledger.close()
    return why(facts).reason, facts.record.state


async def test_what_starts_meanwhile_is_told_to_run(table: Table) -> None:
    stage = Stage(table.ledger(Clock()), Clock(), never)
    await stage.submit("a")
    await stage.ledger.enlist(Worker("process", None, slots=EACH_ITS_OWN), LEASE)
    assert await reasons(table, stage, stage.claim()) == (Reason.RUNNING, State.RUNNING)
    await stage.ledger.close()


async def test_what_waits_again_since_the_first_look_is_told_to_run_as_it_did(
    table: Table,
) -> None:
    stage = Stage(table.ledger(Clock()), Clock(), never)
    await stage.submit("a")
    (attempt,) = await stage.claim()
    told = await reasons(table, stage, stage.release(attempt))
    assert told == (Reason.RUNNING, State.RUNNING)
    await stage.ledger.close()


async def test_of_many_before_it_no_more_than_a_hundred_are_read(table: Table) -> None:
    stage = Stage(table.ledger(Clock()), Clock(), never)
    await stage.ledger.change("mail", Change(limit=1))
    await stage.submit(*(f"t{number:03}" for number in range(130)), "last", type="mail")
    client = Halting(table.client)
    client.go.set()
    ledger = table.ledger(stage.clock, client=client)
    facts = (await ledger.facts(["last"]))["last"]
    assert facts.before == 100
    assert client.keys == 100 + 2
    await ledger.close()
    await stage.ledger.close()


async def test_what_is_before_it_is_found_behind_a_hundred_that_are_in_nobodys_way(
    table: Table,
) -> None:
    clock = Clock()
    stage = Stage(table.ledger(clock), clock, never)
    await stage.ledger.change("keyed", Change(key_limit=1))
    for task_id in ("lost first", "lost"):
        await stage.submit(task_id)
        await stage.lose(await stage.run(task_id), wait=60)
        stage.clock.advance(1)
    await stage.submit(*(f"t{number:03}" for number in range(110)))
    await stage.submit(*(f"bob{number:03}" for number in range(110)), type="keyed", key="bob")
    for task_id in ("ann first", "ann"):
        stage.clock.advance(1)
        await stage.submit(task_id, type="keyed", key="ann")
    stage.clock.advance(120)
    facts = await stage.ledger.facts(["lost", "ann"])
    assert {name: one.before for name, one in facts.items()} == {"lost": 1, "ann": 1}
    await stage.ledger.close()
