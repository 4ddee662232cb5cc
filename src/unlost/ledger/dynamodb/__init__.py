"""The ledger in one DynamoDB table, for any number of processes and functions."""

from __future__ import annotations

from unlost.ledger.dynamodb.attempts.claiming_by_id import NotClaimed
from unlost.ledger.dynamodb.parts.attempts import Attempts
from unlost.ledger.dynamodb.parts.controls import Controls
from unlost.ledger.dynamodb.parts.dead_letters import DeadLetters
from unlost.ledger.dynamodb.parts.keys import Keys
from unlost.ledger.dynamodb.parts.opened import PATIENCE
from unlost.ledger.dynamodb.parts.redrives import Redrives
from unlost.ledger.dynamodb.parts.schedules import Schedules
from unlost.ledger.dynamodb.parts.steps import Steps
from unlost.ledger.dynamodb.parts.tasks import Tasks
from unlost.ledger.dynamodb.parts.upkeep import Upkeep

__all__ = ["PATIENCE", "DynamoLedger", "NotClaimed"]


class DynamoLedger(
    Tasks, Attempts, Steps, DeadLetters, Redrives, Controls, Keys, Schedules, Upkeep
):
    """A `Ledger` in the table `table`, which has the shape of `schema.definition`.

    Any number of processes may open it.  Whatever it answers is in the table.  Lists and what is
    due come from indexes, which lag on AWS by a second or so; counts follow the table's stream
    (`counting`).  `announce` is told of what is due and of deaths, after each step; `wait` and
    `transitions` know the steps that are taken in this process.  `client` is a boto3 client to
    use; `shards` is for a table that is new; `retrying` says for how long DynamoDB is waited for.
    One event loop at a time.
    """
