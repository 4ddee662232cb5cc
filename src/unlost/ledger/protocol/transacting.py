"""Transactions of handlers in the ledger's own database, where the home has one for them."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from unlost.ledger.values import Settlement


class RolledBack(Exception):
    """A handler's transaction was not committed, nor was its attempt settled: `cause` says why.

    `final`: another attempt would only repeat what the handler has already made last.
    """

    def __init__(self, cause: Exception, *, final: bool = False) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.final = final


class TransactionEnded(Exception):
    """The handler itself has ended its attempt's transaction, by SQL: what it did may be kept."""


class TransactionInUse(Exception):
    """The handler has returned while something still used its attempt's connection."""


class TransactionLost(Exception):
    """The connection was lost during the commit, and nothing of the transaction is kept."""


class FollowUpConflict(Exception):
    """The id of a follow-up is another task's; nothing of the transaction is kept."""


class HandlerTransaction(Protocol):
    """A transaction that a handler fills, and that its attempt's success commits."""

    @property
    def connection(self) -> Any:
        """What the handler is given."""
        ...

    async def commit(self, settlement: Settlement) -> bool:
        """Settle the attempt in it, as `Attempts.settle` does, and commit.

        False where the token is not the running attempt's: then nothing of it is stored.  Raises
        RolledBack; LedgerUnavailable where it may have been committed, or may not.
        """
        ...

    async def roll_back(self) -> None:
        """End it, as far as it has not ended.  Never raises."""
        ...

    def cut(self) -> None:
        """End it although its handler may be using it; never waits or raises."""
        ...


@runtime_checkable
class Transacting(Protocol):
    """A ledger in whose database handlers can have transactions of their own."""

    async def begin_transaction(self, *, threaded: bool) -> HandlerTransaction:
        """Begin one, on a connection of its own, for a handler in the event loop or in a thread.

        Raises the database driver's own errors.
        """
        ...
