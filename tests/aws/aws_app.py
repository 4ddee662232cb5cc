"""Handlers for the functions under test, as a user would deploy them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from unlost import Handlers, Task

handlers = Handlers()


@handlers.task("speak")
def speak(task: Task) -> None:
    print("hello", end="")
    print(" world")
    print("over there", file=sys.stderr)
    print("no line feed", end="")


@handlers.task("crash")
async def crash(task: Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@handlers.task("stuck", timeout=0.2)
def stuck(task: Task) -> None:
    while True:
        time.sleep(1)


@handlers.task("wait")
async def wait(task: Task) -> None:
    print("waiting")
    await asyncio.Event().wait()


@handlers.task("quick")
async def quick(task: Task) -> int:
    return task.attempt
