"""The handler of `unlost.webhook`: one attempt to deliver what is told."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Final

import msgspec

from unlost.handlers import Reject, Retry, Task
from unlost.settings import Settings
from unlost.times import rfc3339
from unlost.webhooks.notices import Delivery
from unlost.webhooks.sending import Answer, NotSent, Sender
from unlost.webhooks.signature import headers, secrets_of
from unlost.webhooks.target import BadTarget, read

LONGEST_WAIT: Final = 86_400.0
"""Seconds, at most, that a receiver may ask us to wait."""

GONE: Final = 410
BUSY: Final = (429, 503)

_read = msgspec.json.Decoder(Delivery).decode


class NotDelivered(Exception):
    """The receiver did not take it.  The message says why."""


class Body(msgspec.Struct, frozen=True):
    """What the receiver gets.  `timestamp` is when the task came to its end."""

    type: str
    timestamp: str
    data: msgspec.Raw


class Deliver:
    """Delivers: signs with each of the secrets, and sends.  `clock` is seconds since the epoch."""

    def __init__(self, settings: Settings, sender: Sender, clock: Callable[[], float]) -> None:
        self._url = settings.webhook_url
        self._secrets = secrets_of(settings.webhook_secret)
        self._reach = settings.webhook_reach
        self._sender = sender
        self._clock = clock
        self._agent = f"unlost/{version('unlost')}"

    async def __call__(self, task: Task) -> dict[str, int]:
        """Raises Reject, Retry or NotDelivered where it was not delivered."""
        told = _read(task._text)
        url = told.url or self._url
        if not url:
            raise NotDelivered("there is no --webhook-url any more")
        at = rfc3339(task._submitted_at)
        body = msgspec.json.encode(Body(told.type, at, told.data))
        now = self._clock()
        head = {
            "content-type": "application/json",
            "user-agent": self._agent,
            **headers(self._secrets, task.id, int(now), body),
        }
        try:
            answer = await self._sender.post(read(url, self._reach), head, body)
        except BadTarget as wrong:
            raise Reject(f"the URL {wrong}") from None
        except NotSent as failure:
            raise NotDelivered(str(failure)) from None
        _judge(answer, now)
        return {"status": answer.status}


def _judge(answer: Answer, now: float) -> None:
    """Raise unless this answer says that the receiver has it."""
    status = answer.status
    if 200 <= status < 300:
        return
    if status == GONE:
        raise Reject("the receiver answered 410: it wants no more")
    asked = answer.retry_after if status in BUSY else ()
    wait = max((_seconds(text, now) for text in asked), default=0.0)  # the longer of several
    if wait > 0:
        raise Retry(wait, f"the receiver answered {status} and asked to wait")
    raise NotDelivered(f"the receiver answered {status}")


def _seconds(text: str, now: float) -> float:
    """What `Retry-After` asks for: seconds, or until a date; 0 for what makes no sense."""
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(until - now, 0.0), LONGEST_WAIT)
