"""Handlers for the tests of the console.  Each test of the workbench mends its own: a task fails
until the file that its payload names is there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from unlost import Handlers, Reject, Task

handlers = Handlers()


class MailServerDown(Exception):
    """What is broken until somebody mends it."""


@handlers.task("invoice.send", max_retries=0)
async def send_invoice(task: Task) -> dict[str, Any]:
    if not Path(task.payload["needs"]).exists():
        raise MailServerDown(f"the mail server {task.payload['needs']!r} refused it")
    return {"sent": task.payload.get("customer")}


@handlers.task("report.build", max_retries=2)
async def build_report(task: Task) -> dict[str, Any]:
    if "customer" not in task.payload:
        raise Reject("no customer")
    return {"pages": 3}


@handlers.task("order")
async def order(task: Task) -> None:
    task.submit({}, f"{task.id}/pack", type="quick")


@handlers.task("slow")
async def slow(task: Task) -> None:
    await asyncio.sleep(task.payload.get("seconds", 600))


@handlers.task("quick")
async def quick(task: Task) -> None:
    if task.payload.get("fails"):
        raise Reject(task.payload["fails"])


@handlers.task("order.ship", max_retries=0)
async def ship_order(task: Task) -> None:
    for step in ("charge", "mail"):
        await task.once(step, lambda step=step: {"did": step})
    if not Path(task.payload["needs"]).exists():
        raise MailServerDown("no parcel today")
