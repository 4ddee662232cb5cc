"""Handlers for the process tests: most of them do what a handler should not.

Each makes a file with its task's name when it starts, so that a test sees that it runs.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from unlost import Handlers, Retry, Task

handlers = Handlers()
FOLDER = Path(os.environ.get("FOLDER", "."))
running: set[str] = set()


def mark(task: Task, word: str = "") -> None:
    (FOLDER / f"{task.id}{word}").write_text(str(os.getpid()))


async def told(task: Task) -> None:
    """Return once there is a file of the name that the payload has as `until`, if it has one."""
    while not (FOLDER / task.payload.get("until", ".")).exists():  # noqa: ASYNC110 - another process tells
        await asyncio.sleep(0.01)


@handlers.task("works")
async def works(task: Task) -> dict[str, Any]:
    """Run for `seconds`, or until there is a file named `until`; tell the process and how many
    others ran in it at the start."""
    beside = len(running)
    running.add(task.id)
    mark(task)
    try:
        await asyncio.sleep(task.payload.get("seconds", 0))
        await told(task)
    finally:
        running.discard(task.id)
    return {"pid": os.getpid(), "beside": beside}


@handlers.task("is excused once")
async def is_excused_once(task: Task) -> None:
    if not (FOLDER / task.id).exists():
        mark(task)
        raise Retry(excused=True)


@handlers.task("runs a program sync")
def runs_a_program_sync(task: Task) -> None:
    mark(task)
    subprocess.run(["sleep", "60"], check=True)


@handlers.task("runs a program")
async def runs_a_program(task: Task) -> None:
    program = await asyncio.create_subprocess_exec("sleep", "60")
    mark(task)
    if status := await program.wait():
        raise RuntimeError(f"the program ended with {status}")


@handlers.task("depends")
async def depends(task: Task) -> None:
    """Fail while what it depends on is down; else run until there is a file named `until`."""
    if (FOLDER / "down").exists():
        raise ConnectionError("it is down")
    await told(task)


@handlers.task("waits once")
async def waits_once(task: Task) -> dict[str, Any]:
    """Wait for ever at the first attempt, and be done at the second."""
    mark(task)
    if task.attempt == 1:
        await asyncio.Event().wait()
    return {"pid": os.getpid(), "beside": len(running)}


@handlers.task("tells its cancel")
async def tells_its_cancel(task: Task) -> str:
    mark(task)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        mark(task, ".told")
        raise
    return "never"


@handlers.task("tells its cancel sync")
def tells_its_cancel_sync(task: Task) -> str:
    mark(task)
    while not task.cancelled:
        time.sleep(0.01)
    mark(task, ".told")
    return "dropped"


@handlers.task("exits")
async def exits(task: Task) -> None:
    sys.exit(3)


@handlers.task("exits sync")
def exits_sync(task: Task) -> None:
    sys.exit("from a thread")


@handlers.task("interrupts")
async def interrupts(task: Task) -> None:
    raise KeyboardInterrupt


@handlers.task("raises base")
async def raises_base(task: Task) -> None:
    raise BaseException("base")  # noqa: TRY002  what a handler should not do


@handlers.task("raises cancelled")
async def raises_cancelled(task: Task) -> None:
    raise asyncio.CancelledError


@handlers.task("returns object")
async def returns_object(task: Task) -> object:
    return object()


@handlers.task("prints")
def prints(task: Task) -> str:
    print("x" * 1_000_000)
    print("words", "with", "spaces", sep=" ")
    print('{"event": "fake"}')
    print("half a line", end="")
    sys.stderr.write("to stderr\n")
    logging.getLogger("app").warning("a record of %s", "its own")
    return "printed"


@handlers.task("writes")
def writes(task: Task) -> str:
    os.write(1, b"raw \xff\xfe bytes\n")
    sys.stdout.buffer.write(b"through the buffer\n")
    os.write(2, b'{"half": \n')
    return "written"


@handlers.task("starts noise")
def starts_noise(task: Task) -> str:
    noise = "echo out; echo err >&2; head -c 300000 /dev/zero | tr '\\0' y; echo"
    subprocess.run(["sh", "-c", noise], check=True)
    return "noisy"


@handlers.task("forks")
async def forks(task: Task) -> int:
    """Fork, and let the child come back."""
    os.fork()
    return os.getpid()


@handlers.task("forks and sleeps")
async def forks_and_sleeps(task: Task) -> int:
    """Fork, and let the child come back to the event loop."""
    os.fork()
    await asyncio.sleep(0.2)
    return os.getpid()


@handlers.task("forks sync")
def forks_sync(task: Task) -> int:
    os.fork()
    return os.getpid()


@handlers.task("hangs")
async def hangs(task: Task) -> None:
    await asyncio.Event().wait()


@handlers.task("hangs sync")
def hangs_sync(task: Task) -> None:
    mark(task)
    time.sleep(3600)


@handlers.task("spins sync")
def spins_sync(task: Task) -> None:
    while True:
        pass


@handlers.task("blocks")
async def blocks(task: Task) -> None:
    """Hold up the event loop."""
    mark(task)
    while True:
        pass


@handlers.task("holds the lock")
def holds_the_lock(task: Task) -> None:
    """Hold the interpreter's lock: no other thread of the process runs."""
    mark(task)
    re.match(r"(a+)+$", "a" * 64 + "b")


@handlers.task("faults")
def faults(task: Task) -> None:
    ctypes.string_at(0)


@handlers.task("exits hard")
def exits_hard(task: Task) -> None:
    os._exit(0)


@handlers.task("charges")
async def charges(task: Task) -> dict[str, Any]:
    """Keep what it was given, once each attempt; give some of it back, or fail with it."""
    seen = FOLDER / f"{task.id}.seen"
    with seen.open("a") as file:
        file.write(json.dumps(task.payload) + "\n")
    if task.payload.get("fails"):
        raise RuntimeError("the card was declined")
    return {"card": task.payload["card"], "ok": True}


@handlers.task("charges once told")
async def charges_once_told(task: Task) -> None:
    """Charge as soon as there is a file that says so."""

    async def charge() -> int:
        while not (FOLDER / f"{task.id}.go").exists():  # noqa: ASYNC110  another process makes it
            await asyncio.sleep(0.01)
        mark(task, ".charged")
        return 7

    mark(task)
    await task.once("charge", charge)


@handlers.task("charges and is killed")
def charges_and_is_killed(task: Task) -> None:
    """Charge, say so, and at the first attempt be killed before anything else."""
    task.effect("charged")
    if task.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    task.effect("mailed")


@handlers.task("pays")
async def pays(task: Task) -> int:
    """Reserve and charge, and be killed at the first charge: it is done, and not yet recorded."""

    async def act(what: str) -> int:
        with (FOLDER / f"{task.id}.acts").open("a") as acts:
            acts.write(f"{what} {task.idempotency_key(what)}\n")
        if what == "charge" and task.attempt == 1:
            mark(task)
            await asyncio.Event().wait()
        return task.attempt

    reserved = await task.once("reserve", act, "reserve")
    return 10 * int(reserved) + int(await task.once("charge", act, "charge"))
