"""What the failures of a call on DynamoDB mean to a ledger."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from unlost.ledger.dynamodb.connection.retrying import Passing, passes
from unlost.ledger.dynamodb.stored.wire import Item, unwired
from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit

UNDER_WAY = "TransactionInProgressException"
CONFLICT = "TransactionConflictException"
IN_THE_WAY = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
OURS = frozenset({"ValidationException", "IdempotentParameterMismatchException"})
DENIED = frozenset({"AccessDeniedException", "AccessDenied"})
STRANGER = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)

_ACTION = re.compile(r"perform: (dynamodb:\w+)")
_WHO = re.compile(r"User: (\S+) is not")
_NO_INDEX = re.compile(r"specified index: *(\S+)")


class Clash(Exception):
    """A write's condition did not hold.  `item` is what is there, `index` the write's number."""

    def __init__(self, item: Item | None, index: int = 0) -> None:
        super().__init__("the item has changed")
        self.item = item
        self.index = index


class NoTable(LedgerUnfit):
    """The table is not there (or its region, or account, is another)."""


class Denied(LedgerUnfit):
    """`who` may not do an `action` of IAM on the table or the index `where`."""

    def __init__(self, who: str, action: str, where: str, said: str) -> None:
        words = "lacks a permission that this service needs"
        super().__init__(f"{action} on {where} is not allowed: {said}", words=words)
        self.who = who
        self.action = action
        self.where = where


class Busy(LedgerUnavailable, Passing):
    """DynamoDB does not answer, or has too much to do; whether it was done is open."""


class Collision(LedgerUnavailable, Passing):
    """Somebody else was at the same items.

    `under_way`: it was an earlier try of ours, which was taken for lost.
    """

    def __init__(self, *, under_way: bool = False) -> None:
        super().__init__("too much is written to the same items of the table at once")
        self.under_way = under_way


def meaning(fault: ClientError | BotoCoreError, table: str, index: str | None = None) -> Exception:
    """What an error of a call on `table`, or an index of it, means; one that only a mistake of ours
    can cause stays.

    What is neither Passing nor ours is LedgerUnfit.
    """
    if not isinstance(fault, ClientError):
        kind = Busy if passes(fault) else LedgerUnfit
        return kind(f"DynamoDB does not answer: {fault}")
    response: Any = fault.response
    code, said = response["Error"]["Code"], response["Error"].get("Message", "")
    if code == "ConditionalCheckFailedException":
        return Clash(_found(response))
    if code == "TransactionCanceledException":
        return _cancelled(response.get("CancellationReasons", []), fault)
    if code in (CONFLICT, UNDER_WAY):
        return Collision(under_way=code == UNDER_WAY)
    if passes(fault):
        return Busy(f"DynamoDB has too much to do: {code}: {said}")
    where = f"the table {table}" if index is None else f"the index {index} of the table {table}"
    return _lasting(fault, code, said, table, where)


def _lasting(fault: ClientError, code: str, said: str, table: str, where: str) -> Exception:
    if code == "ResourceNotFoundException":
        return NoTable(f"DynamoDB has no table {table} here", words="has no table")
    if code in DENIED and "kms" not in said.lower():
        named = _ACTION.search(said)
        action = named[1] if named else f"dynamodb:{fault.operation_name}"
        who = _WHO.search(said)
        return Denied(who[1] if who else "this service", action, where, f"{code}: {said}")
    if code in STRANGER:
        why = f"DynamoDB does not take these credentials: {code}: {said}"
        return LedgerUnfit(why, words="does not take this service's credentials")
    if index := _NO_INDEX.search(said):
        why = f"the table {table} has no index {index[1]}: {said}"
        return LedgerUnfit(why, words="lacks an index")
    if code in OURS:
        return fault
    return LedgerUnfit(f"DynamoDB refuses {fault.operation_name}: {code}: {said}")


def _cancelled(reasons: Sequence[Any], fault: ClientError) -> Exception:
    codes = [reason.get("Code") for reason in reasons]
    if "ConditionalCheckFailed" in codes:
        index = codes.index("ConditionalCheckFailed")
        return Clash(_found(reasons[index]), index)
    return Collision() if IN_THE_WAY.intersection(codes) else fault


def _found(answer: Any) -> Item | None:
    item = answer.get("Item")
    return unwired(item) if item else None
