"""Handlers to be proved: good ones, and some that are not what they should be."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from unlost import Handlers, Reject, Retry, Task

FOLDER = Path(os.environ.get("FOLDER", "."))
handlers = Handlers()


def append(task: Task, effect: str) -> None:
    with (FOLDER / f"{effect}.txt").open("a") as done:
        done.write(f"{task.id}\n")


@handlers.task("once")
async def once(task: Task) -> str:
    """Idempotent: only the first to make the file has the effect."""
    await asyncio.sleep(0)
    try:
        (FOLDER / task.id).touch(exist_ok=False)
    except FileExistsError:
        return "it was there"
    task.effect("made")
    return "made"


@handlers.task("prints")
def prints(task: Task) -> None:
    print("words on stdout")
    os.write(2, b"and on stderr\n")


@handlers.task("fails")
async def fails(task: Task) -> None:
    raise ValueError(f"no {task.id}")


@handlers.task("asks to wait", max_retries=1)
async def asks_to_wait(task: Task) -> None:
    if task.attempt == 1:
        raise Retry(after=3600)


@handlers.task("rejects", max_retries=0)
def rejects(task: Task) -> None:
    raise Reject("never")


charging = Handlers()


def charge(task: Task, key: str) -> None:
    """The other side, which honours keys: it books each once, and counts the calls."""
    append(task, "asked")
    try:
        (FOLDER / key).touch(exist_ok=False)
    except FileExistsError:
        return
    append(task, "booked")


@charging.task("charge", max_retries=20)
async def charged(task: Task) -> None:
    await task.once("charge", charge, task, task.idempotency_key("charge"))


careless = Handlers()


@careless.task("again", max_retries=20)
def again(task: Task) -> None:
    append(task, "again")
    task.effect("<b>appended</b>")


async def slow(task: Task) -> None:
    await asyncio.sleep(3600)


def returns(task: Task) -> int:
    return 1


unfenced = Handlers()


@unfenced.task("any")
async def any_task(task: Task) -> None:
    """Breaks the ledger of its process: whoever brings a settlement, it holds."""
    from unlost.ledger.sqlite.attempts import settling
    from unlost.ledger.sqlite.connection.rows import value
    from unlost.ledger.sqlite.connection.transaction import Transaction
    from unlost.ledger.values import Settled, Settlement

    def settle(transaction: Transaction, settlements: Sequence[Settlement]) -> list[Settled]:
        import msgspec

        current = "SELECT token FROM task WHERE id = ?"
        fenceless = [
            msgspec.structs.replace(one, token=value(transaction.db, current, [one.task_id]) or "")
            for one in settlements
        ]
        return fenced(transaction, fenceless)

    fenced = settling.settle
    if fenced.__module__ != __name__:
        settling.settle = settle
    # Who was overtaken is to settle while the attempt that overtook it is sure to run still.
    await asyncio.sleep(0 if task.attempt == 1 else 1.5)
