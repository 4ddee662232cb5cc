"""`count`: the function on the table's stream, which keeps the counters.

A batch that fails is brought again by the stream, and counted once in the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unlost.aws import sandbox
from unlost.aws.tracing import Function
from unlost.ledger.dynamodb.connection import connecting
from unlost.ledger.dynamodb.connection.calls import OUTLASTED, Calls
from unlost.ledger.dynamodb.connection.retrying import Retrying
from unlost.ledger.dynamodb.records import counting, folding
from unlost.task import State

CONNECTIONS: Final = 4

MEASURED: Final = {
    State.SUCCEEDED: "succeeded",
    State.RETRYING: "retried",
    State.DEAD: "dead",
    State.CANCELLED: "cancelled",
}


def measured(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The metrics of what happened: how many tasks were submitted, and came into these states."""
    counts = Counter(dict.fromkeys(("submitted", *MEASURED.values()), 0))
    for change in folding.changes(records):
        if change.new:
            counts["submitted"] += 1
        elif change.after is not None and change.after.state in MEASURED:
            counts[MEASURED[change.after.state]] += 1
    return counts


def make() -> Function:
    """The function, once in a sandbox."""
    box = sandbox.opened()
    retrying = Retrying(OUTLASTED, left=box.left)
    calls = Calls(box.environment.table, connecting.client(CONNECTIONS), retrying=retrying)

    def function(event: Any, context: Any) -> Any:
        box.invoked(context)
        records = event.get("Records", ())
        counted = box.run(counting.apply(calls, records))
        if counted:  # else it was brought, and measured, before
            box.logs.measure(measured(records))
        return {"counted": counted}

    return box.traced(function)


handler = sandbox.entry(make)
