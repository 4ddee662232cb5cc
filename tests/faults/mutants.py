"""Ledgers with one mistake each, which the power-cut test has to find."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw

from tests.faults.machine import Machine
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite.attempts import claiming, settling
from unlost.ledger.sqlite.connection import connecting, opening
from unlost.ledger.sqlite.connection.joining import Answer, Joint, Step, Waiting
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.connection.writer import Writer
from unlost.ledger.sqlite.steps import recording
from unlost.ledger.sqlite.tasks import submitting

Mutant = Callable[[Machine], AbstractContextManager[Any]]


def commits_are_not_synced(_: Machine) -> AbstractContextManager[Any]:
    return patch.object(connecting, "SYNCED", ("synchronous=OFF",))


def submits_are_not_synced(_: Machine) -> AbstractContextManager[Any]:
    return _not_synced(lambda step: isinstance(step, Joint) and step.run is submitting.submit)


def settlements_are_not_synced(_: Machine) -> AbstractContextManager[Any]:
    return _not_synced(lambda step: isinstance(step, Joint) and step.run is settling.settle)


def claims_are_not_synced(_: Machine) -> AbstractContextManager[Any]:
    return _not_synced(lambda step: isinstance(step, partial) and step.func is claiming.claim)


def steps_are_not_synced(_: Machine) -> AbstractContextManager[Any]:
    return _not_synced(lambda step: isinstance(step, Joint) and step.run is recording.record)


def _not_synced(careless: Callable[[Step | Joint], bool]) -> AbstractContextManager[Any]:
    """Transactions with nothing but such steps, which need not survive it seems."""
    commit = Writer._commit

    def sometimes(self: Writer, waiting: deque[Waiting]) -> list[Answer]:
        level = "NORMAL" if all(careless(one.step) for one in waiting) else "FULL"
        self._db.execute(f"PRAGMA synchronous={level}")
        return commit(self, waiting)

    return patch.object(Writer, "_commit", sometimes)


@contextmanager
def answers_come_before_the_commit(_: Machine) -> Iterator[None]:
    """So they come whatever becomes of it."""
    take, commit = Writer._take, Writer._commit
    taken: list[Answer] = []

    def early(self: Writer, waiting: deque[Waiting], transaction: Transaction) -> list[Answer]:
        taken[:] = take(self, waiting, transaction)
        return list(taken)

    def late(self: Writer, waiting: deque[Waiting]) -> list[Answer]:
        taken.clear()
        answers = {answer.future: answer for answer in commit(self, waiting)}
        return list((answers | {answer.future: answer for answer in taken}).values())

    with patch.object(Writer, "_take", early), patch.object(Writer, "_commit", late):
        yield


def checkpoints_are_not_synced(_: Machine) -> AbstractContextManager[Any]:
    checkpoint = Writer._checkpoint

    def careless(self: Writer, patience: int) -> None:
        self._db.execute("PRAGMA synchronous=OFF")
        checkpoint(self, patience)
        self._db.execute("PRAGMA synchronous=FULL")

    return patch.object(Writer, "_checkpoint", careless)


def a_transaction_is_made_in_two(_: Machine) -> AbstractContextManager[Any]:
    """The counters are committed after what they count."""
    write_tally = Transaction.write_tally

    def apart(self: Transaction) -> None:
        self.db.execute("COMMIT; BEGIN IMMEDIATE")
        write_tally(self)

    return patch.object(Transaction, "write_tally", apart)


def opening_removes_what_an_old_process_left(_: Machine) -> AbstractContextManager[Any]:
    def refuse_place(path: Path) -> None:
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)

    return patch.object(opening, "refuse_place", refuse_place)


@contextmanager
def the_disk_lies(machine: Machine) -> Iterator[None]:
    """No ledger's mistake, but one that the test must see: syncs that do nothing."""
    machine.lies = True
    try:
        yield
    finally:
        machine.lies = False


@contextmanager
def commits_are_seen_before_they_are_synced(_: Machine) -> Iterator[None]:
    """They are synced before they are answered, so no power cut finds anything.  But one whose
    sync fails stays, and others build on it."""
    commit, level = Writer._commit, ("synchronous=NORMAL",)

    def late(self: Writer, waiting: deque[Waiting]) -> list[Answer]:
        answers = commit(self, waiting)
        flags = [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE, 0]
        log = apsw.VFSFile(apsw.vfs_names()[0], f"{self._db.filename}-wal", flags)
        try:
            log.xSync(apsw.SQLITE_SYNC_NORMAL)
        except apsw.Error as fault:
            return [Answer(one.future, None, LedgerUnavailable(str(fault))) for one in answers]
        finally:
            log.xClose()
        return answers

    with patch.object(connecting, "SYNCED", level), patch.object(Writer, "_commit", late):
        yield


def doubt_is_forgotten(_: Machine) -> AbstractContextManager[Any]:
    return patch.object(opening, "settle_doubt", lambda lock, path: None)


FOUND_BY_CUTS: dict[Mutant, int] = {
    commits_are_not_synced: 100,
    submits_are_not_synced: 400,
    settlements_are_not_synced: 400,
    claims_are_not_synced: 400,
    steps_are_not_synced: 400,
    answers_come_before_the_commit: 100,
    checkpoints_are_not_synced: 100,
    a_transaction_is_made_in_two: 400,
    opening_removes_what_an_old_process_left: 100,
    the_disk_lies: 100,
}
"""Each with the cuts within which it is found."""

FOUND_BY_FAILURES: dict[Mutant, int] = {
    claims_are_not_synced: 600,
    answers_come_before_the_commit: 100,
    commits_are_seen_before_they_are_synced: 100,
}
"""Each with the spells of failure within which it is found."""
