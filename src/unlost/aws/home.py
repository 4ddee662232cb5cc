"""The ledger and the queues of a function's home."""

from __future__ import annotations

from typing import NamedTuple

from unlost.aws import queue
from unlost.aws.environment import Environment
from unlost.aws.queue import SqsQueue
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.dynamodb.connection import connecting
from unlost.ledger.dynamodb.connection.calls import THREADS, Calls
from unlost.ledger.opening import wall_clock


class Home(NamedTuple):
    """What is open for as long as the sandbox is there.  `calls` is for what lies in the table
    beside the ledger."""

    ledger: DynamoLedger
    queue: SqsQueue
    calls: Calls


def opened(environment: Environment) -> Home:
    """The ledger, which tells the queues what is due and who died.  Raises WrongSetting.

    Nothing is asked yet: a function must be able to start while the ledger does not answer.
    """
    client = connecting.client(THREADS)
    queues = SqsQueue(queue.client(), environment.queue_url, environment.dead_letter_queue_url)
    ledger = DynamoLedger(
        environment.table, wall_clock, shards=environment.shards, announce=queues, client=client
    )
    return Home(ledger, queues, Calls(environment.table, client, shards=environment.shards))
