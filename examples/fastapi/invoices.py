"""What unlost runs for the shop."""

from __future__ import annotations

from typing import Any

from unlost import Handlers, Task

handlers = Handlers()


@handlers.task("invoice.send", max_retries=5)
async def send(task: Task) -> dict[str, Any]:
    """Send an invoice: once, however often this is tried."""
    number = task.payload["order"]
    sent = await task.once("mail", mail, number, key=task.idempotency_key("mail"))
    return {"order": number, "sent": sent}


async def mail(number: int, *, key: str) -> str:
    """Stands for a mail service that takes a key, and sends what has the same key once."""
    return f"invoice-{number}.pdf"
