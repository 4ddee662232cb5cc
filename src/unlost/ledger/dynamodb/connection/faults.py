"""What the failures of a call on DynamoDB mean to a ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from unlost.ledger.dynamodb.stored.wire import Item, unwired
from unlost.ledger.protocol import LedgerUnavailable

UNDER_WAY = "TransactionInProgressException"
CONFLICT = "TransactionConflictException"
PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
OURS = frozenset({"ValidationException", "IdempotentParameterMismatchException"})


class Clash(Exception):
    """A write's condition did not hold.  `item` is what is there, `index` the write's number."""

    def __init__(self, item: Item | None, index: int = 0) -> None:
        super().__init__("the item has changed")
        self.item = item
        self.index = index


class NoTable(LedgerUnavailable):
    """The table is not there (or its region, or account, is another)."""


class Collision(Exception):
    """Somebody else was at the same items: to be tried again.

    `under_way`: it was an earlier try of ours, which the SDK took for lost.
    """

    def __init__(self, *, under_way: bool = False) -> None:
        super().__init__("a transaction is under way")
        self.under_way = under_way


def meaning(fault: ClientError) -> Exception:
    """What an error of DynamoDB means; one that only a mistake of ours can cause stays."""
    response: Any = fault.response
    code = response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        return Clash(_found(response))
    if code == "TransactionCanceledException":
        return _cancelled(response.get("CancellationReasons", []), fault)
    if code in (CONFLICT, UNDER_WAY):
        return Collision(under_way=code == UNDER_WAY)
    if code == "ResourceNotFoundException":
        return NoTable("DynamoDB has no such table")
    if code in OURS:
        return fault
    return LedgerUnavailable(f"DynamoDB refuses: {code}: {response['Error'].get('Message', '')}")


def _cancelled(reasons: Sequence[Any], fault: ClientError) -> Exception:
    codes = [reason.get("Code") for reason in reasons]
    if "ConditionalCheckFailed" in codes:
        index = codes.index("ConditionalCheckFailed")
        return Clash(_found(reasons[index]), index)
    return Collision() if PASSING.intersection(codes) else fault


def _found(answer: Any) -> Item | None:
    item = answer.get("Item")
    return unwired(item) if item else None
