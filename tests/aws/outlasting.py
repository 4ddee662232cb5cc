"""What the ledger's and the queues' clients outlast, told as JSON: `python -m … URL`.

A program, so that it can run on another boto3 than the tests.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

import boto3

from unlost.aws.queues import queue
from unlost.aws.queues.queue import QueueUnavailable, SqsQueue
from unlost.ledger.dynamodb.connection import connecting
from unlost.ledger.dynamodb.connection.calls import THREADS, Calls
from unlost.ledger.dynamodb.connection.retrying import Retrying
from unlost.ledger.dynamodb.connection.writes import Put
from unlost.ledger.dynamodb.hints.telling import Hint
from unlost.ledger.protocol import LedgerUnavailable

TABLES = [*(f"down-{number}" for number in range(5)), "throttled", "reset", "denied", "missing"]
QUEUES = [*(f"down-q{number}" for number in range(5)), "throttled-q", "reset-q", "denied-q"]
IN_VAIN = 12
"""Calls that fail before one is made that has to be outlasted."""


async def outcome(step: Awaitable[object]) -> str:
    try:
        await step
    except (LedgerUnavailable, QueueUnavailable) as error:
        return str(error)
    return "answered"


async def writes(client: Any, table: str, retrying: Retrying | None = None) -> str:
    calls = Calls(table, client, retrying=retrying)
    return await outcome(calls.write(Put({"pk": "p", "sk": "s"}, only_new=True)))


async def after_failures(client: Any) -> str:
    for number in range(IN_VAIN):
        assert await writes(client, f"never-{number}", Retrying(0.0)) != "answered"
    return await writes(client, "down-after-failures")


async def sends(client: Any, url: str, name: str) -> str:
    return await outcome(SqsQueue(client, f"{url}/1/{name}", "").due([Hint("t", 0)]))


async def main(url: str) -> None:
    dynamodb, sqs = connecting.client(THREADS), queue.client()
    steps = {
        **{name: writes(dynamodb, name) for name in TABLES},
        **{name: sends(sqs, url, name) for name in QUEUES},
        "down-after-failures": after_failures(connecting.client(THREADS)),
    }
    found = dict(zip(steps, await asyncio.gather(*steps.values()), strict=True))
    print(json.dumps({"boto3": boto3.__version__, "found": found}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
