"""The workers of a ledger, as they are shown."""

from __future__ import annotations

from unlost.access.caller import Caller
from unlost.api.openapi.schemas.workers import RunningBody, WorkerBody, WorkersBody
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Enlisted, Worker
from unlost.times import rfc3339


async def workers(ledger: Ledger, caller: Caller) -> WorkersBody:
    """Those whose leases hold, and what they run, as far as it is there for this caller."""
    found = await ledger.workers()
    return WorkersBody([_shown(one, caller) for one in found if _is_there(one.worker, caller)])


def _is_there(worker: Worker, caller: Caller) -> bool:
    """Whether it serves a type that is there for the caller, or none yet."""
    return worker.types is None or worker.starting or any(map(caller.sees, worker.types))


def _shown(one: Enlisted, caller: Caller) -> WorkerBody:
    return WorkerBody(
        one.worker.id,
        None if one.worker.types is None else [*filter(caller.sees, one.worker.types)],
        one.worker.alone,
        one.worker.starting,
        one.worker.pull,
        rfc3339(one.lease_until),
        [
            RunningBody(run.task_id, run.type, run.number, rfc3339(run.started_at))
            for run in one.running
            if caller.sees(run.type)
        ],
        one.count,
    )
