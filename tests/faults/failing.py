"""One run of work on a ledger whose disk fails for a while, again and again, and then loses its
power.  One seed is one run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import apsw

from tests.conformance.stage import Clock
from tests.faults.account import Account
from tests.faults.cutting import no_checkpoint_runs, open_checked, tuned
from tests.faults.machine import Call, Fault, Machine, Power, all_is_well
from tests.faults.work import Worked
from unlost.ledger.protocol import LedgerUnavailable, NotALedger
from unlost.ledger.sqlite import SqliteLedger

SPELLS = 5
"""Times in a run that the disk fails."""

GROUPS = 400
"""Steps taken at most until a spell has begun and is over."""

TROUBLES: tuple[tuple[Fault, frozenset[Call]], ...] = (
    (Fault.FULL, frozenset({Call.WRITE})),
    (Fault.FULL, frozenset({Call.WRITE, Call.OPEN})),
    (Fault.FAIL, frozenset({Call.READ})),
    (Fault.FAIL, frozenset({Call.WRITE})),
    (Fault.FAIL, frozenset({Call.SYNC})),
    (Fault.FAIL, frozenset({Call.SYNC})),
    (Fault.FORGET, frozenset({Call.SYNC})),
    (Fault.FAIL, frozenset({Call.TRUNCATE, Call.DELETE})),
    (Fault.FAIL, frozenset(Call)),
)


@dataclass
class Spell:
    """The plan that some calls go wrong: `lasts` of them, after `first` others of the kind."""

    fault: Fault
    calls: frozenset[Call]
    first: int
    lasts: int

    def __call__(self, call: Call, _name: str) -> Fault | None:
        if call not in self.calls or self.over:
            return None
        if self.first > 0:
            self.first -= 1
            return None
        self.lasts -= 1
        return self.fault

    @property
    def begun(self) -> bool:
        return self.first <= 0

    @property
    def over(self) -> bool:
        return self.lasts <= 0


def spell(chance: Random) -> Spell:
    """Some trouble, soon or late, short or long."""
    fault, calls = chance.choice(TROUBLES)
    often = 3 if calls == {Call.SYNC} else 8 if Call.WRITE not in calls else 60
    first = chance.randrange(often)
    return Spell(fault, calls, first, chance.choice((1, 1, 1, 2, 5, 20)))


async def run(machine: Machine, seed: int) -> str:
    """Work through spells of failures; the ledger must be well after each without a restart,
    and have all that it acknowledged after a cut.  A digest of all that was asked of the disk.

    Raises AssertionError where it has not.
    """
    chance = Random(seed)
    machine.start(seed)
    with tuned(chance) as together:
        worked = Worked(chance, Clock())
        account = Account(worked.clock, one_transaction=together)
        for _ in range(SPELLS):
            trouble = machine.plan = spell(chance)
            ledger = await _open(machine, account, worked)
            await _work_through(ledger, trouble, account, worked)
            machine.plan = all_is_well
            if chance.random() < 0.5:
                await _is_well(ledger, account, worked)
            await _end(machine, ledger, chance)
        machine.plan = all_is_well
        await (await open_checked(machine, account, worked)).close()
    return machine.trace.hexdigest()


async def _open(machine: Machine, account: Account, worked: Worked) -> SqliteLedger:
    """Try until it is open; a spell ends by itself."""
    for _ in range(50):
        try:
            return await open_checked(machine, account, worked)
        except (LedgerUnavailable, NotALedger, apsw.IOError):
            machine.power = Power.ON
    return await open_checked(machine, account, worked)


async def _work_through(
    ledger: SqliteLedger, trouble: Spell, account: Account, worked: Worked
) -> None:
    """Work until the trouble is over.  Only trouble excuses that something is not done."""
    for _ in range(GROUPS):
        if trouble.over:
            return
        excused = await _meets(ledger, account, worked)
        assert not excused or trouble.begun, "it failed though nothing was wrong"


async def _meets(ledger: SqliteLedger, account: Account, worked: Worked) -> bool:
    """Work and read; whether anything was not done."""
    failed = not await account.do(ledger, worked.steps())
    try:
        await no_checkpoint_runs(ledger)
        await ledger.get("t1")
    except LedgerUnavailable:
        failed = True
    return failed


async def _is_well(ledger: SqliteLedger, account: Account, worked: Worked) -> None:
    for _ in range(3):
        assert not await _meets(ledger, account, worked), "it is not well after the trouble"


async def _end(machine: Machine, ledger: SqliteLedger, chance: Random) -> None:
    """Close the ledger in order, or kill its process, or cut the power."""
    end = chance.random()
    if end > 0.2:
        machine.power = Power.GONE
    await ledger.close()
    machine.power = Power.ON
    if end > 0.6:
        machine.reboot(chance)
