"""One attempt in a worker that claims by the API, as its handler has it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from unlost.handlers import AttemptOver

Gone = Callable[[str], Awaitable[bool]]
"""Whether the attempt with this token runs no more."""

Record = Callable[[str, str, Any], Awaitable[bool]]
"""Record a step of the attempt with this token; False where that runs no more."""


class Given:
    """What a handler is given: what `handling.Handling` asks of a task, by the protocol alone."""

    def __init__(self, told: dict[str, Any], gone: Gone, record: Record) -> None:
        self.token: str = told["token"]
        self.id: str = told["taskId"]
        self.number: int = told["number"]
        self.attempt: int = told["attempt"]
        self.timeout: float = told["timeoutSeconds"]
        self.alone: bool = told["alone"]
        self.submitted: list[dict[str, Any]] = []
        self._effect_key = told["effectKey"]
        self._steps = {one["name"]: one for one in told["steps"]}
        self._gone = gone
        self._record = record

    def submit(self, payload: Any, task_id: str, type: str | None = None) -> None:
        """Have a task follow."""
        new = {"taskId": task_id, "payload": payload}
        self.submitted.append(new if type is None else new | {"type": type})

    def idempotency_key(self, name: str) -> str:
        """The key for the other side of a step."""
        forgotten = self._steps.get(name, {}).get("forgotten", 0)
        text = f"{self._effect_key}/{forgotten}/{name}"
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    async def once(self, name: str, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Make a step.  Raises AttemptOver."""
        if await self._gone(self.token):
            raise AttemptOver
        if "result" in self._steps.get(name, {}):
            return self._steps[name]["result"]
        value = await function(*args)
        if not await self._record(self.token, name, value):
            raise AttemptOver
        return value


def ended(given: Given, error: BaseException | None, result: Any) -> dict[str, Any]:
    """How an attempt is settled whose handler has ended so."""
    if error is None:
        end = {"token": given.token, "outcome": "succeeded", "result": result}
        return end | ({"submit": given.submitted} if given.submitted else {})
    kind = type(error).__name__
    end = {"token": given.token, "outcome": "failed", "error": {"type": kind, "message": "so"}}
    if kind == "Reject":
        return end | {"reject": True}
    if kind == "Retry":
        asked = {"retryAfterSeconds": getattr(error, "after", 0.0)}
        return end | asked | {"excused": getattr(error, "excused", False)}
    return end
