"""A ledger in memory that tests can break from inside."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tests.conformance.stage import OTHER, Clock, Stage
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.memory.kept.task import Kept
from unlost.ledger.protocol import Ledger
from unlost.task import State


class Breakable(Stage):
    """A ledger in memory whose inside tests can reach."""

    def __init__(self, ledger: MemoryLedger, clock: Clock) -> None:
        async def opener() -> Ledger:
            return ledger

        super().__init__(ledger, clock, opener)
        self.inside = ledger

    def kept(self, task_id: str) -> Kept:
        return self.inside._tasks[task_id]

    def write(self, task_id: str, **changes: Any) -> None:
        """Write into a record past every guard."""
        kept = self.kept(task_id)
        kept.record = replace(kept.record, **changes)

    def write_attempt(self, task_id: str, which: int, **changes: Any) -> None:
        attempts = list(self.kept(task_id).record.attempts)
        attempts[which - 1] = replace(attempts[which - 1], **changes)
        self.write(task_id, attempts=tuple(attempts))


async def breakable() -> Breakable:
    """One task in each state, named after it, and a few with a longer life."""
    clock = Clock()
    stage = Breakable(MemoryLedger(clock), clock)
    for state in State:
        if state is not State.RETRYING:
            await stage.into(state, state.value)
    clock.advance(10)
    await stage.submit("tried")
    await stage.retry(await stage.run("tried"), wait=2)
    clock.advance(2)
    await stage.release(await stage.run("tried"))
    await stage.succeed(await stage.run("tried"))
    await stage.bury("redriven", error=OTHER)
    await stage.ledger.redrive("redriven", "ann", None)
    await stage.into(State.SUCCEEDED, "purged")
    stage.write("purged", purged_at=clock.now, payload=None, attempts=())
    await stage.into(State.RETRYING, "retrying")
    return stage
