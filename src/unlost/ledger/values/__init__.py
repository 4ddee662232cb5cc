"""What callers and ledgers hand each other: immutable values, and nothing else.

Each file has what goes through the part of `ledger.protocol` that has its name.
"""

from unlost.ledger.values.attempts import Claim, Claimed, Held, Settlement
from unlost.ledger.values.dead_letters import RUN_PAUSE, Group, Selection
from unlost.ledger.values.hints import Transition
from unlost.ledger.values.records import MINUTE, Cohorts, Copy, Counts, Death, Entry
from unlost.ledger.values.reports import Report
from unlost.ledger.values.tasks import EVERYTHING, Order, Page, Part, Query, Submitted, Verdict
from unlost.ledger.values.workers import MOST_SHOWN, Enlisted, Running, Worker

__all__ = [
    "EVERYTHING", "MINUTE", "MOST_SHOWN", "RUN_PAUSE", "Claim", "Claimed", "Cohorts", "Copy",
    "Counts", "Death", "Enlisted", "Entry", "Group", "Held", "Order", "Page", "Part", "Query",
    "Report", "Running", "Selection", "Settlement", "Submitted", "Transition", "Verdict", "Worker",
]  # fmt: skip
