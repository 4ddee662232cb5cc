"""What PostgreSQL's errors mean to a ledger."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import errors

from unlost.ledger.lasting import Lasting
from unlost.ledger.protocol import LedgerUnavailable
from unlost.settings import WrongSetting


class Passing(LedgerUnavailable):
    """It was surely not done, and may well be next time."""


class Raced(LedgerUnavailable):
    """Somebody else has put in the same just now: it was not done."""


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
    errors.DuplicatePreparedStatement,
)
"""Somebody else was at the same rows, or a plan was gone or not ours: rolled back."""

LACKS_A_RIGHT: Final = "lacks a right in its database"
READ_ONLY: Final = "is read-only"
NO_TABLES: Final = "has not the tables that this version needs"


LASTING: Final[dict[str, Lasting]] = {
    # Who we are, and where: as it was when the service started, and then no more.
    "28": Lasting("is not open to this service", "mend the role, or --ledger"),
    "3D": Lasting("is not there", "make the database, or name another one with --ledger"),
    # What we may do.  Beside the error, the rights themselves are looked at (see `rights`).
    "42501": Lasting(LACKS_A_RIGHT, ""),
    "25006": Lasting(READ_ONLY, "`unlost doctor` says where that comes from"),
    # What is there: a schema, a table, a column or a function is not.
    "3F": Lasting(NO_TABLES, "restore the schema unlost, or start a service, which makes it"),
    "42": Lasting(NO_TABLES, "restore the schema unlost, or start a service, which makes it"),
    # What the server has: space, and limits that somebody set.
    "53100": Lasting("has no space left", "free space on the server's disk"),
    "53400": Lasting("is beyond a limit of its server", "raise the limit"),
    # What has broken.
    "58": Lasting("cannot use its disk", "look at the server's log and at its disk"),
    "XX001": Lasting("is damaged", "look at the server's log, and restore a backup"),
    "XX002": Lasting("is damaged", "look at the server's log, and REINDEX the index"),
}
"""By sqlstate, or by class of sqlstates.

Not here is what passes: too many connections (53300), out of memory (53200), a cancel (57014), a
shutdown (57P), a lost connection (08).  Nor what only some tasks may meet: data (22), constraints
(23), limits of a value (54), a trigger of somebody's own (P0001).
"""

OURS: Final = (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError)
"""What the driver refuses to send is a mistake of ours."""

LOST: Final = ("08", "57P", "25P03", "25P04")
"""Errors, or classes of them, with which connections end."""


def meaning(fault: psycopg.Error, *, committing: bool) -> Exception:
    """What a failed step's error means.

    `committing`: the commit was sent, so that a connection lost leaves open whether it was done.
    """
    said = f"PostgreSQL: {first_line(fault)}"
    if isinstance(fault, COLLIDED):
        return Passing(said)
    if isinstance(fault, errors.UniqueViolation):
        return Raced(said)
    if isinstance(fault, OURS) and fault.sqlstate is None:
        return fault
    if (lasting := _lasting(fault)) is not None:
        return lasting.error(said)
    if is_lost(fault):
        return LedgerUnavailable(said) if committing else Passing(said)
    return LedgerUnavailable(said)


def is_lost(fault: psycopg.Error) -> bool:
    """Whether the connection has ended with it, so that nobody knows how far its server came."""
    return fault.sqlstate is None or fault.sqlstate.startswith(LOST)


def unreachable(fault: psycopg.Error, place: str) -> Exception:
    """What it means that a ledger cannot be opened: a wrong setting, or the world."""
    said = first_line(fault)
    lasting = _lasting(fault)
    if lasting in (LASTING["28"], LASTING["3D"]):
        return WrongSetting(f"{place} cannot be used: {said}")
    if lasting is not None:
        return lasting.error(f"{place} cannot be used: {said}")
    return LedgerUnavailable(f"{place} cannot be reached: {said}")


def _lasting(fault: psycopg.Error) -> Lasting | None:
    state = fault.sqlstate or ("28000" if _is_refusal(first_line(fault)) else "")
    return LASTING.get(state) or LASTING.get(state[:2])


def _is_refusal(said: str) -> bool:
    """While connecting, libpq passes on the server's words without their code."""
    wrong = ("password authentication failed", "no password supplied", "no pg_hba.conf entry")
    missing = said.endswith("does not exist") and ('database "' in said or 'role "' in said)
    return missing or any(words in said for words in wrong)


def first_line(fault: BaseException) -> str:
    """An error in one line."""
    lines = str(fault).strip().splitlines()
    return lines[0] if lines else type(fault).__name__
