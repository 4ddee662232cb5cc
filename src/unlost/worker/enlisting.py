"""How a worker is enlisted.  Somebody else extends its lease from then on."""

from __future__ import annotations

from random import Random

from unlost.ledger.protocol import LedgerUnavailable, Workers
from unlost.ledger.values import Worker
from unlost.task import Micros
from unlost.telemetry.logs import Log
from unlost.worker.unavailable import leave_alone

log = Log("unlost.worker")


async def enlist(ledger: Workers, worker: Worker, lease: Micros, random: Random) -> None:
    """Enlist a worker, however long the ledger takes to answer."""
    tries = 0
    while True:
        try:
            await ledger.enlist(worker, lease)
            return
        except LedgerUnavailable as error:
            tries += 1
            await leave_alone(tries, error, random, log)
