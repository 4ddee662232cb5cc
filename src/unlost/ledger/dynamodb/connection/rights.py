"""What a ledger does with its table, each tried once and without changing anything.

A permission is looked at before a condition: a write whose condition does not hold is refused for
that where it would be allowed.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from botocore.exceptions import ClientError

from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.connection.faults import Denied
from unlost.ledger.dynamodb.connection.writes import Change, Delete, Same
from unlost.ledger.dynamodb.schema import CONFIG, LOOK, SUBMITTED
from unlost.ledger.protocol import LedgerUnfit

NOBODY: Final = ("rights", "nobody")
"""The key of an item that is never there."""

NEVER: Final = "never"
"""A version that no item has."""


async def lacking(calls: Calls) -> list[str]:
    """What keeps a service from working on the table, in a line each.

    Raises LedgerUnavailable where it cannot be found out now.
    """
    pk, sk = NOBODY
    tries: list[Awaitable[object]] = [
        calls.get(CONFIG),
        calls.get_many([CONFIG]),
        calls.page(CONFIG[0], limit=1),
        calls.page(NEVER, index=LOOK, limit=1),
        calls.page(NEVER, index=SUBMITTED, limit=1),
        calls.put_in_vain(NOBODY),
        calls.write(Change({"pk": pk, "sk": sk, "op": NEVER}, {"pk": pk, "sk": sk, "n": 1})),
        calls.write(Delete(NOBODY, NEVER)),
        calls.delete_many([NOBODY]),
        calls.write_together([Same(NOBODY, NEVER), Same(CONFIG, NEVER)]),
    ]
    denied: dict[tuple[str, str], list[str]] = {}
    others: list[str] = []
    for one in tries:
        try:
            await one
        except Clash:
            continue
        except Denied as fault:
            actions = denied.setdefault((fault.who, fault.where), [])
            actions += [] if fault.action in actions else [fault.action]
        except LedgerUnfit as fault:
            others.append(str(fault))
        except ClientError as fault:  # its keys are not ours
            code, said = fault.response["Error"]["Code"], fault.response["Error"]["Message"]
            others.append(f"the table {calls.table} is not an unlost ledger: {code}: {said}")
    told = [
        f"{who} may not {', '.join(actions)} on {where}" for (who, where), actions in denied.items()
    ]
    return [*told, *dict.fromkeys(others)]
