"""Handlers that charge and then ship, each once, whatever befalls their processes."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from typing import Any

from unlost import Handlers, Task

BOOKKEEPER = ("127.0.0.1", int(os.environ["BOOKKEEPER"]))
SHIPPED = os.open(os.environ["SHIPPED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

handlers = Handlers()


class NotAnswered(Exception):
    """The bookkeeper has perhaps booked it, and did not say so."""


def number_of(answer: bytes) -> int:
    if not answer:
        raise NotAnswered
    return int(answer)


async def charge(key: str, task_id: str) -> int:
    reader, writer = await asyncio.open_connection(*BOOKKEEPER)
    try:
        writer.write(f"{key} {task_id}\n".encode())
        await writer.drain()
        return number_of(await reader.readline())
    finally:
        writer.close()


def charge_sync(key: str, task_id: str) -> int:
    with socket.create_connection(BOOKKEEPER, timeout=10) as to, to.makefile("rb") as answers:
        to.sendall(f"{key} {task_id}\n".encode())
        return number_of(answers.readline())


def ship(task_id: str, entry: int) -> str:
    """Nobody honours keys here: what is recorded of it must not run again."""
    label = secrets.token_hex(4)
    os.write(SHIPPED, f"{task_id} {entry} {label}\n".encode())
    return label


@handlers.task("charges")
async def charges(task: Task) -> Any:
    entry = await task.once("charge", charge, task.idempotency_key("charge"), task.id)
    label = await task.once("ship", ship, task.id, entry)
    await asyncio.sleep(task.payload["seconds"])
    return [entry, label]


@handlers.task("charges sync")
def charges_sync(task: Task) -> Any:
    entry = task.once("charge", charge_sync, task.idempotency_key("charge"), task.id)
    label = task.once("ship", ship, task.id, entry)
    return [entry, label]
