"""The ledger and the queues of a function's home."""

from __future__ import annotations

from typing import NamedTuple

from unlost.aws.queues import queue
from unlost.aws.queues.queue import SqsQueue
from unlost.aws.sandbox import Sandbox
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.dynamodb.connection import connecting
from unlost.ledger.dynamodb.connection.calls import OUTLASTED, THREADS, Calls
from unlost.ledger.dynamodb.connection.retrying import Retrying
from unlost.ledger.opening import wall_clock


class Home(NamedTuple):
    """What is open for as long as the sandbox is there.  `calls` is for what lies in the table
    beside the ledger."""

    ledger: DynamoLedger
    queue: SqsQueue
    calls: Calls


def opened(box: Sandbox) -> Home:
    """The ledger, which tells the queues what is due and who died.  Raises WrongSetting.

    Nothing is asked yet: a function must be able to start while the ledger does not answer.
    Nothing is waited for beyond an invocation.
    """
    told, client = box.environment, connecting.client(THREADS)
    queues = SqsQueue(
        queue.client(),
        told.queue_url,
        told.dead_letter_queue_url,
        Retrying(queue.OUTLASTED, left=box.left),
    )
    retrying = Retrying(OUTLASTED, left=box.left)
    ledger = DynamoLedger(
        told.table,
        wall_clock,
        shards=told.shards,
        announce=queues,
        client=client,
        retrying=retrying,
    )
    return Home(ledger, queues, Calls(told.table, client, shards=told.shards, retrying=retrying))
