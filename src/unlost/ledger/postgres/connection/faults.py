"""What PostgreSQL's errors mean to a ledger."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import errors

from unlost.ledger.protocol import LedgerUnavailable, NotALedger
from unlost.settings import WrongSetting


class Passing(LedgerUnavailable):
    """It was surely not done, and may well be next time."""


class HeldUp(LedgerUnavailable):
    """The server has not answered in time.  Whoever waits for the same would not fare better."""


class NotReplicated(HeldUp):
    """It was committed, but by what the server says may be on no standby: so it is not stored."""

    def __init__(self, warning: str) -> None:
        words = "waits for a standby that does not answer"
        super().__init__(f"PostgreSQL has committed and warns: {warning}", words=words)


COLLIDED: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.InvalidSqlStatementName,
)
"""Somebody else was at the same rows, or a plan was gone: rolled back."""

OURS: Final = (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError)
"""What the driver refuses to send is a mistake of ours."""

LOST: Final = ("08", "57P")
"""Classes of errors with which connections end."""

WRONG_PLACE: Final = ("28", "3D")
"""Classes of errors that say that the URL is wrong: who one is, or the database's name."""


def meaning(fault: psycopg.Error, *, committing: bool) -> Exception:
    """What a failed step's error means.

    `committing`: the commit was sent, so that a connection lost leaves open whether it was done.
    """
    said = f"PostgreSQL: {first_line(fault)}"
    if isinstance(fault, COLLIDED):
        return Passing(said)
    if isinstance(fault, OURS) and fault.sqlstate is None:
        return fault
    if fault.sqlstate is None or fault.sqlstate.startswith(LOST):
        return LedgerUnavailable(said) if committing else Passing(said)
    return LedgerUnavailable(said)


def unreachable(fault: psycopg.Error, place: str) -> Exception:
    """What it means that a ledger cannot be opened: a wrong setting, or the world."""
    said = first_line(fault)
    if (fault.sqlstate or "").startswith(WRONG_PLACE) or _is_refusal(said):
        return WrongSetting(f"{place} cannot be used: {said}")
    if isinstance(fault, errors.InsufficientPrivilege):
        return NotALedger(f"{place} cannot be used: {said}")
    return LedgerUnavailable(f"{place} cannot be reached: {said}")


def _is_refusal(said: str) -> bool:
    """While connecting, libpq passes on the server's words without their code."""
    wrong = ("password authentication failed", "no password supplied", "no pg_hba.conf entry")
    missing = said.endswith("does not exist") and ('database "' in said or 'role "' in said)
    return missing or any(words in said for words in wrong)


def first_line(fault: BaseException) -> str:
    """An error in one line."""
    lines = str(fault).strip().splitlines()
    return lines[0] if lines else type(fault).__name__
