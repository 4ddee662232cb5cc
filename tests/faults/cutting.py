"""One run of work on a ledger whose power is cut again and again.  One seed is one run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from unittest.mock import patch

import apsw

from tests.conformance.stage import BOOM, Clock, must_add_up
from tests.conformance.steps import settlement
from tests.faults.account import Account
from tests.faults.machine import Call, Fault, Machine, Power, all_is_well
from tests.faults.work import WORKERS, Worked
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.connection import writer
from unlost.ledger.sqlite.migrations import MIGRATIONS
from unlost.ledger.sqlite.parts import opened
from unlost.ledger.sqlite.schema import APPLICATION_ID
from unlost.task import TERMINAL, Outcome

CUTS = 4
"""Cuts in one run."""

MOST_WITHOUT_POWER = 50
"""Answers that need no disk (replays, refusals) may come in a row after a cut; not many do."""

CHANGING = frozenset(Call) - {Call.READ}


class CutAfter:
    """The plan that the power fails during the n-th call that changes something."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def __call__(self, call: Call, _name: str) -> Fault | None:
        self._left -= call in CHANGING
        return Fault.CUT if self._left <= 0 else None


@contextlib.contextmanager
def tuned(chance: Random) -> Iterator[bool]:
    """The writer's dials turned so that little work meets all it does: checkpoints, and one
    transaction for all that waits, or one for each.  Whether it is one for all."""
    pages = chance.choice((6, 20, 60, 2_000))
    together = chance.random() < 0.5
    with (
        patch.object(writer, "CHECKPOINT_PAGES", pages),
        patch.object(writer, "RESTART_PAGES", pages * chance.choice((1, 3))),
        patch.object(writer, "LONGEST", 3600.0 if together else 0.0),
        patch.object(opened, "READERS", 1),
    ):
        yield together


async def run(machine: Machine, seed: int) -> str:
    """Work, be cut off and come up again, `CUTS` times, and then work to the end.  A digest of
    all that was asked of the disk.

    Raises AssertionError where something acknowledged is missing, or anything else is wrong.
    """
    chance = Random(seed)
    machine.start(seed)
    with tuned(chance) as together:
        worked = Worked(chance, Clock())
        account = Account(worked.clock, one_transaction=together)
        for _ in range(CUTS):
            machine.plan = CutAfter(round(2 ** chance.uniform(0, 9)))
            await _live(machine, account, worked)
            machine.reboot(chance)
            worked.clock.advance(1.0)
        machine.plan = all_is_well
        ledger = await open_checked(machine, account, worked)
        await finish(ledger, account, worked)
        await ledger.close()
    return machine.trace.hexdigest()


async def _live(machine: Machine, account: Account, worked: Worked) -> None:
    """From coming up to the next cut."""
    ledger = None
    try:
        ledger = await open_checked(machine, account, worked)
        # Not "while the power is on": it may fail in the writer's thread at any moment, and how
        # much is drawn must not depend on when this thread hears of it.
        without_power = 0
        while await account.do(ledger, worked.steps()):
            without_power += machine.power is Power.OFF
            assert without_power < MOST_WITHOUT_POWER, "it answers without power"
            if worked.chance.random() < 0.03:
                await ledger.close()
                ledger = SqliteLedger(_file(machine), worked.clock)
    except LedgerUnavailable:
        assert machine.power is Power.OFF
    finally:
        machine.power = Power.GONE
        if ledger is not None:
            await ledger.close()


def _file(machine: Machine) -> Path:
    return machine.folder / "ledger.db"


async def open_checked(machine: Machine, account: Account, worked: Worked) -> SqliteLedger:
    """The ledger that is there after a cut, and is right.  Raises LedgerUnavailable."""
    ledger = SqliteLedger(_file(machine), worked.clock)
    try:
        _must_be_whole(_file(machine))
        await account.must_agree(ledger)
        await must_add_up(ledger)
        await worked.look(ledger)
    except BaseException:
        machine.power = Power.GONE
        await ledger.close()
        raise
    return ledger


def _must_be_whole(path: Path) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as db:
        assert db.pragma("integrity_check") == "ok"
        assert db.pragma("application_id") == APPLICATION_ID
        assert db.pragma("user_version") == len(MIGRATIONS)


async def finish(ledger: SqliteLedger, account: Account, worked: Worked) -> None:
    """The ledger goes on working: everything that is left is done."""
    for _ in range(100):
        counts = await ledger.counts()
        if sum(counts.states[state] for state in TERMINAL) == counts.accepted:
            break
        worked.clock.advance(3.0)
        for worker in WORKERS:
            await account.do(ledger, worked.claiming(worker, 100))
        done = [
            settlement(attempt, Outcome.SUCCEEDED, BOOM, 0.0, False, None)
            for attempt in worked.running.values()
        ]
        await account.do(ledger, [worked.settling(done)])
        await no_checkpoint_runs(ledger)
    else:
        raise AssertionError("the work does not end")
    await account.must_agree(ledger)
    await must_add_up(ledger)


async def no_checkpoint_runs(ledger: SqliteLedger) -> None:
    """How far a checkpoint gets must not depend on who happens to read meanwhile."""
    await ledger._writer.do(lambda _: None)
