"""Handlers for the soak: each attempt writes down that it starts and how it ends.

The record is a file of their own, written in whole lines, that no part of the service knows.
Types whose names say so misbehave in their first attempt, and work in the others.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import secrets
import signal
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unlost import Handlers, Reject, Retry, Task

FAILING = 30
"""Of a hundred attempts, those that fail."""

PROCESS = os.getpid()
EFFECTS = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

handlers = Handlers()


def note(word: str, task: Task, nonce: str) -> None:
    """Write a line in one piece, unless this is a child that a handler forked."""
    if os.getpid() == PROCESS:
        line = f"{word} {task.id} {task.number} {nonce} {time.time_ns() // 1000}\n"
        os.write(EFFECTS, line.encode())


@contextmanager
def noted(task: Task) -> Iterator[dict[str, Any]]:
    """Note the start and the end of an attempt around it; gives what it is to return."""
    nonce = secrets.token_hex(6)
    note("started", task, nonce)
    try:
        yield {"number": task.number, "nonce": nonce}
    except BaseException:
        note("raised", task, nonce)
        raise
    note("returned", task, nonce)


def perhaps_fail(task: Task) -> None:
    """Fail so many of a hundred attempts, each by its own number."""
    draw = zlib.crc32(f"{task.id}/{task.number}".encode()) % 100
    if draw == 0:
        raise Reject("one of a hundred")
    if draw < 3:
        raise Retry(after=0.01)
    if draw < FAILING:
        raise ValueError(f"attempt {task.number} was to fail")


def seconds(task: Task) -> float:
    return float(task.payload["seconds"]) / task.attempt


@handlers.task("waits")
async def waits(task: Task) -> object:
    with noted(task) as result:
        await asyncio.sleep(seconds(task))
        perhaps_fail(task)
        return result


@handlers.task("waits long")
async def waits_long(task: Task) -> object:
    with noted(task) as result:
        await asyncio.sleep(3)
        perhaps_fail(task)
        return result


@handlers.task("waits sync")
def waits_sync(task: Task) -> object:
    with noted(task) as result:
        time.sleep(seconds(task))
        perhaps_fail(task)
        return result


@handlers.task("prints")
def prints(task: Task) -> object:
    with noted(task) as result:
        print("x" * 20_000, task.id)
        os.write(2, b'{"half": ')
        perhaps_fail(task)
        return result


def is_first(task: Task) -> bool:
    return task.attempt == 1 or bool(task.payload.get("always"))


@handlers.task("kills itself")
async def kills_itself(task: Task) -> object:
    with noted(task) as result:
        if is_first(task):
            os.kill(os.getpid(), signal.SIGKILL)
        return result


@handlers.task("exits")
def exits(task: Task) -> object:
    with noted(task) as result:
        if is_first(task):
            os._exit(0)
        return result


@handlers.task("faults")
def faults(task: Task) -> object:
    with noted(task) as result:
        if is_first(task):
            ctypes.string_at(0)
        return result


@handlers.task("hangs", timeout=0.5)
async def hangs(task: Task) -> object:
    with noted(task) as result:
        if is_first(task):
            await asyncio.Event().wait()
        return result


@handlers.task("hangs sync", timeout=0.5)
def hangs_sync(task: Task) -> object:
    with noted(task) as result:
        if is_first(task):
            time.sleep(3600)
        return result


@handlers.task("blocks the loop", timeout=0.5)
async def blocks_the_loop(task: Task) -> object:
    with noted(task) as result:
        while is_first(task):
            pass
        return result


@handlers.task("holds the lock", timeout=0.5)
def holds_the_lock(task: Task) -> object:
    with noted(task) as result:
        if is_first(task):
            re.match(r"(a+)+$", "a" * 64 + "b")
        return result


@handlers.task("forks")
async def forks(task: Task) -> object:
    with noted(task) as result:
        os.fork()
        await asyncio.sleep(0.01)
        return result


@handlers.task("forks sync")
def forks_sync(task: Task) -> object:
    with noted(task) as result:
        os.fork()
        return result


@handlers.task("spawns")
def spawns(task: Task) -> object:
    with noted(task) as result:
        subprocess.run(["true"], check=True)
        return result
