"""What callers and ledgers hand each other: immutable values, and nothing else.

Each file has what goes through the part of `ledger.protocol` that has its name.
"""

from unlost.ledger.values.attempts import (
    BESIDE,
    MOST_SHOWN,
    Claim,
    Claimed,
    Enlisted,
    FollowUp,
    Held,
    Running,
    Settled,
    Settlement,
    Worker,
)
from unlost.ledger.values.dead_letters import Group, Report
from unlost.ledger.values.effects import Declared, EffectPage, NewEffect
from unlost.ledger.values.hints import Transition
from unlost.ledger.values.pulling import PULLED, Pull, Pulled
from unlost.ledger.values.redrives import RedriveCopy, RedrivePlace, RedriveQuery
from unlost.ledger.values.steps import NewStep, StepAsked, StepLook
from unlost.ledger.values.tasks import (
    EVERYTHING,
    MINUTE,
    ROOM,
    Cohorts,
    Copy,
    Counts,
    Death,
    Entry,
    Order,
    Page,
    Part,
    Query,
    Submitted,
    Verdict,
)

__all__ = [
    "BESIDE", "EVERYTHING", "MINUTE", "MOST_SHOWN", "PULLED", "ROOM", "Claim", "Claimed", "Cohorts",
    "Copy", "Counts", "Death", "Declared", "EffectPage", "Enlisted", "Entry", "FollowUp", "Group",
    "Held", "NewEffect", "NewStep", "Order", "Page", "Part", "Pull", "Pulled", "Query",
    "RedriveCopy", "RedrivePlace", "RedriveQuery", "Report", "Running", "Settled", "Settlement",
    "StepAsked", "StepLook", "Submitted", "Transition", "Verdict", "Worker",
]  # fmt: skip
