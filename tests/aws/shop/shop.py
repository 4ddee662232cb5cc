"""Somebody's own handlers, as they would come with `--param source=FOLDER`."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import boto3

from unlost import Handlers, Task

handlers = Handlers()


@handlers.task("order.pack", max_retries=0)
async def pack(task: Task) -> dict[str, object]:
    print("packing", task.payload["order"])
    return {"packed": task.payload["order"], "attempt": task.attempt}


@handlers.task("order.spy", max_retries=0)
def spy(task: Task) -> object:
    """Asks AWS for what the function has no business with."""
    client = boto3.client(task.payload["service"])
    return str(getattr(client, task.payload["operation"])(**task.payload["arguments"]))


@handlers.task("order.block", max_retries=0, timeout=4)
async def block(task: Task) -> None:
    """Stops the whole function: nothing in it can end this but Lambda's own limit."""
    time.sleep(600)  # noqa: ASYNC251 - the mistake under test


@handlers.task("order.crash", max_retries=0)
async def crash(task: Task) -> None:
    """Takes its process with it."""
    os.kill(os.getpid(), signal.SIGKILL)


@handlers.task("order.hang", max_retries=0, timeout=1)
async def hang(task: Task) -> None:
    """Ends when it is told to, and not before."""
    await asyncio.Event().wait()
