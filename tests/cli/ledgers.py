"""Ledgers to be moved, with all that a ledger can hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.conformance.stage import BOOM, Clock, Stage
from unlost import policy
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Copy

PAYLOAD = '{"z":123456789012345678901234567890,"a":1.50,"é":"\\u0000"}'
RESULT = '{"d":0.10000000000000000000000001,"n":-0}'
PLAIN = 120


@asynccontextmanager
async def opened(url: str, clock: Clock | None = None) -> AsyncIterator[Ledger]:
    ledger = await (open_ledger(url) if clock is None else open_ledger(url, clock))
    try:
        yield ledger
    finally:
        await ledger.close()


async def furnish(url: str) -> None:
    """A ledger with a task in every state, and every kind of thing that is kept of one."""
    clock = Clock()
    async with opened(url, clock) as ledger:
        stage = Stage(ledger, clock, lambda: open_ledger(url, clock))
        await stage.submit("old", "gone")
        await stage.succeed(await stage.run("old"), RESULT)
        await ledger.cancel("gone", "ann", "not needed", api_key="ops")
        await ledger.purge(clock.advance(60), 10)
        await stage.bury("reported", "redriven", "discarded")
        deaths = await ledger.claim_reports(10, 1)
        await ledger.reported([one.id for one in deaths if one.task_id != "redriven"])
        await ledger.redrive("redriven", "bob", None, PAYLOAD)
        await ledger.discard("discarded", None, "hope\0less")
        await stage.succeed(await stage.run("redriven"), RESULT)
        await stage.bury("dead", error=policy.error("Odd", "with a \0 in it", BOOM.traceback))
        await stage.submit("lost", "retrying", "released", "running", max_retries=7, timeout=2.5)
        await stage.lose(await stage.run("lost"), wait=3600)
        await stage.retry(await stage.run("retrying"), wait=3600)
        await stage.release(await stage.run("released"))
        await stage.run("running")
        await stage.submit("done")
        await stage.succeed(await stage.run("done"), RESULT)
        await stage.submit("later", payload=PAYLOAD, delay=3600, priority=5)
        await stage.submit(*(f"plain-{number}" for number in range(PLAIN)), type="mail")


async def copies(url: str) -> list[Copy]:
    async with opened(url) as ledger:
        return [copy for _, copy in await ledger.copies(0, 1000)]


def kept(url: str) -> list[Copy]:
    return asyncio.run(copies(url))


async def idle(url: str, tasks: int = 2) -> None:
    """A ledger with tasks that nothing happens to."""
    clock = Clock()
    async with opened(url, clock) as ledger:
        stage = Stage(ledger, clock, lambda: open_ledger(url, clock))
        await stage.submit(*(f"idle-{number}" for number in range(tasks)), delay=1e9)


async def restore(url: str, copies: list[Copy]) -> None:
    async with opened(url) as ledger:
        await ledger.restore(copies)


async def cancel(url: str, task_id: str) -> None:
    async with opened(url) as ledger:
        await ledger.cancel(task_id, None, None)
