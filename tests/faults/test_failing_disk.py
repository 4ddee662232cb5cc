"""The disk fails for a while, at any call: what cannot be done is refused, the ledger is well again
without a restart, and nothing that was acknowledged is missing, after a power cut either."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from tests.conformance.stage import Clock, submission
from tests.faults import failing
from tests.faults.machine import Call, Fault, Machine, Power, all_is_well
from tests.faults.mutants import FOUND_BY_FAILURES, Mutant, doubt_is_forgotten
from tests.faults.replay import first_found, run_all
from unlost.ledger.protocol import LedgerUnavailable, NotALedger
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.connection import writer
from unlost.ledger.sqlite.files.place import refuse_place
from unlost.ledger.sqlite.parts.opened import READERS
from unlost.task import Submission


def test_nothing_acknowledged_is_missing_after_faults(
    machine: Machine, spell_seeds: Sequence[int]
) -> None:
    run_all(failing.run, machine, spell_seeds, "tests/faults/test_failing_disk.py")


@pytest.mark.parametrize("mutant", FOUND_BY_FAILURES, ids=lambda mutant: mutant.__name__)
def test_a_mistake_is_found_within_its_number_of_spells(machine: Machine, mutant: Mutant) -> None:
    runs = FOUND_BY_FAILURES[mutant] // failing.SPELLS
    with mutant(machine):
        assert first_found(failing.run, machine, runs) is not None


async def test_a_commit_whose_sync_failed_is_never_built_on(machine: Machine) -> None:
    """Not by who opens the file next, and finds it in the log, either."""
    assert await _submitted_after_a_failed_sync(machine) == ["before", "after"]


async def test_it_would_be_without_the_mark_of_doubt(machine: Machine) -> None:
    with doubt_is_forgotten(machine):
        assert await _submitted_after_a_failed_sync(machine) == ["before"]


async def _submitted_after_a_failed_sync(machine: Machine) -> list[str]:
    """What is there after a sync that fails, a kill, another submit, and a power cut."""
    ledger = _opened(machine)
    await ledger.submit([submission("before")])
    machine.plan = _failing(Call.SYNC)
    with pytest.raises(LedgerUnavailable):
        await ledger.submit([submission("between")])
    machine.plan = all_is_well
    await _killed(machine, ledger)
    ledger = _opened(machine)
    await ledger.submit([submission("after")])
    await _killed(machine, ledger)
    machine.boot(machine.disk.synced())
    ledger = _opened(machine)
    found = [name for name in ("before", "after") if await ledger.get(name) is not None]
    await ledger.close()
    return found


async def test_a_checkpoint_whose_sync_failed_is_made_again_whole(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever others write during it: SQLite syncs no checkpoint that has not all of the log, and
    brings only the rest with the next one."""
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 20)
    one, other = _opened(machine), _opened(machine)
    begun, written = threading.Event(), threading.Event()

    def plan(call: Call, name: str) -> Fault | None:
        if name != "ledger.db":
            return None
        if call is Call.WRITE and not begun.is_set():
            begun.set()
            written.wait(0.3)  # it is not, where the lock is held
        if call is Call.SYNC:
            machine.plan = all_is_well
            return Fault.FAIL
        return None

    with monkeypatch.context() as writing:
        writing.setattr(other._writer, "_checkpoint", lambda _: None)
        machine.plan = plan
        await one.submit([Submission("large", f'"{"x" * 200_000}"', b"x" * 32)])
        await asyncio.to_thread(begun.wait, 30)
        await other.submit([submission("meanwhile")])
        written.set()
        for name in ("to bring", "to begin a new log", "to write over the old"):
            await one.submit([Submission(name, f'"{"x" * 200_000}"', b"x" * 32)])
    await _killed(machine, one)
    await _killed(machine, other)
    machine.boot(machine.disk.synced())
    ledger = _opened(machine)
    assert await ledger.get("large") is not None
    assert await ledger.get("meanwhile") is not None
    await ledger.close()


async def test_what_a_checkpoint_left_to_who_read_is_brought_whole_after_a_failed_sync(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(writer, "LEFT", 1)
    ledger = _opened(machine)
    reader = apsw.Connection(str(machine.folder / "ledger.db"))
    with monkeypatch.context() as reading:
        reading.setattr(ledger._writer, "_checkpoint", lambda _: None)
        await ledger.submit([Submission("large", f'"{"x" * 200_000}"', b"x" * 32)])
        reader.execute("BEGIN; SELECT * FROM tally").fetchall()
    await ledger.submit([submission("meanwhile")])
    await ledger.ping()
    reader.execute("COMMIT")
    reader.close()
    failing_once = _failing(Call.SYNC)
    machine.plan = lambda call, name: failing_once(call, name) if name == "ledger.db" else None
    for number in range(4):
        await ledger.submit([Submission(f"more {number}", f'"{"x" * 200_000}"', b"x" * 32)])
    assert failing_once.over
    await _killed(machine, ledger)
    machine.boot(machine.disk.synced())
    ledger = _opened(machine)
    assert await ledger.get("large") is not None
    assert await ledger.get("meanwhile") is not None
    await ledger.close()


def _opened(machine: Machine) -> SqliteLedger:
    return SqliteLedger(machine.folder / "ledger.db", Clock())


def _failing(call: Call) -> failing.Spell:
    return failing.Spell(Fault.FAIL, frozenset({call}), 0, 1)


async def _killed(machine: Machine, ledger: SqliteLedger) -> None:
    machine.power = Power.GONE
    await ledger.close()
    machine.power = Power.ON


@pytest.mark.parametrize("call", [Call.WRITE, Call.SYNC])
async def test_a_ledger_that_cannot_be_made_is_unavailable_and_made_later(
    machine: Machine, call: Call
) -> None:
    for turn in range(30):
        machine.plan = failing.Spell(Fault.FAIL, frozenset({call}), turn, 1)
        try:
            ledger = await asyncio.to_thread(_opened, machine)
        except LedgerUnavailable:
            machine.plan = all_is_well
            ledger = _opened(machine)
        await ledger.close()
        machine.start(turn)


async def test_a_first_read_that_fails_does_not_end_all_reading(machine: Machine) -> None:
    ledger = _opened(machine)
    await ledger.submit([submission("there")])
    for _ in range(READERS):
        machine.plan = _failing(Call.READ)
        with pytest.raises(LedgerUnavailable):
            await ledger.get("there")
    machine.plan = all_is_well
    assert await ledger.get("there") is not None
    await ledger.close()


@pytest.mark.parametrize("beside", ["-journal", "-wal"])
def test_a_file_that_a_power_cut_has_torn_is_left_to_sqlite_to_mend(
    tmp_path: Path, beside: str
) -> None:
    torn = tmp_path / "ledger.db"
    torn.write_bytes(b"noise" * 1_000)
    with pytest.raises(NotALedger):
        refuse_place(torn)
    Path(f"{torn}{beside}").touch()
    refuse_place(torn)
