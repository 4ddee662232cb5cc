"""Which ends of tasks are told of: the delivery that a settlement brings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from unlost import carried
from unlost.carried import Carried
from unlost.ledger.protocol import Tasks
from unlost.ledger.values import Claimed, Held, Part, Settlement
from unlost.settings import Settings
from unlost.task import WEBHOOK_TYPE, Event, State, Submission, TaskError
from unlost.times import rfc3339
from unlost.webhooks.target import host

RETRIES: Final = 20
"""Retries of a delivery: over two to three hours, with the backoff that is the default."""

TIMEOUT: Final = 30.0
"""Seconds that an attempt to deliver may take; the request itself takes less."""

MAX_RESULT: Final = 16 * 1024
"""Bytes of a result that is told; of a larger one it is only told that there is one."""

_ENDS = {Event.SUCCEED: State.SUCCEEDED, Event.DIE: State.DEAD}
_TYPES = {State.SUCCEEDED: "task.succeeded", State.DEAD: "task.dead_lettered"}


class Error(msgspec.Struct, frozen=True):
    """Why a task is dead."""

    type: str
    message: str


class End(msgspec.Struct, frozen=True, rename="camel"):
    """How a task came to its end.  `attempt` is the number of the one that ended it."""

    task_id: str
    type: str
    state: State
    attempt: int
    redrive_count: int
    submitted_at: str
    result: Raw | UnsetType = UNSET
    result_omitted: bool | UnsetType = UNSET
    error: Error | UnsetType = UNSET


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload of a delivery: what to tell, and to which URL; None is the service's own."""

    type: str
    data: Raw
    url: str | None = None


class Notices:
    """What a service tells of ends of tasks.

    A task's own `callbackUrl` is told of each of its ends, and then nobody else is.  The service's
    `webhook_url` is told of those ends of all other tasks that `webhook_events` names.
    """

    def __init__(self, settings: Settings) -> None:
        chosen = settings.webhook_events.split(",") if settings.webhook_url else ()
        self._for_all = frozenset(map(State, chosen))

    def after(self, end: Settlement, claimed: Claimed) -> Settlement:
        """The settlement, with the delivery that follows if somebody is to be told."""
        if claimed.carried is None and not self._for_all:
            return end
        if end.submit:
            ends = [replace(one, conflict=self.after(one.conflict, claimed)) for one in end.submit]
            end = replace(end, submit=tuple(ends))
        url = self._url(end, claimed.carried)
        return end if url is None else _followed(end, claimed, url)

    async def after_held(
        self, ledger: Tasks, held: Sequence[Held], ends: Sequence[Settlement]
    ) -> list[Settlement]:
        """The same for attempts that others than their worker settle.  Raises LedgerUnavailable."""
        return [
            await self._after_one(ledger, one, end) for one, end in zip(held, ends, strict=True)
        ]

    async def _after_one(self, ledger: Tasks, held: Held, end: Settlement) -> Settlement:
        url = self._url(end, held.carried)
        record = None if url is None else await ledger.get(held.task_id, (Part.ATTEMPTS,))
        if url is None or record is None or not record.attempts:
            return end
        # Should another attempt run by now, the settlement does not hold, nor does what follows.
        ended = Claimed(
            record.task_id, held.token, record.type, "", record.attempts[-1].number, held.spent,
            held.max_retries, held.timeout, 0, record.redrive_count, record.submitted_at, 0, None,
            record.carried,
        )  # fmt: skip
        return _followed(end, ended, url)

    def _url(self, end: Settlement, text: str | None) -> str | None:
        """Who is to be told of this end: the task's own URL, "" for the service's, None: nobody."""
        state = _ENDS.get(end.event)
        if state is None:
            return None
        return carried.read(text).callback_url or ("" if state in self._for_all else None)


def _followed(end: Settlement, ended: Claimed, url: str) -> Settlement:
    """The settlement and its delivery; of a delivery's own end nobody is told."""
    if ended.type == WEBHOOK_TYPE:
        return end
    state = _ENDS[end.event]
    data = msgspec.json.encode(_told(end, ended, state))
    payload = msgspec.json.encode(Delivery(_TYPES[state], Raw(data), url or None)).decode()
    follow = Submission(
        _id(end),
        payload,
        hashlib.sha256(payload.encode()).digest(),
        WEBHOOK_TYPE,
        max_retries=RETRIES,
        timeout=TIMEOUT,
        key=host(url) if url else None,
        carried=carried.write(Carried(submitted_by=carried.read(ended.carried).submitted_by)),
    )
    return replace(end, follow=follow)


def _told(end: Settlement, ended: Claimed, state: State) -> End:
    submitted_at = rfc3339(ended.submitted_at)
    told = End(
        ended.task_id, ended.type, state, ended.number, ended.redrive_count, submitted_at
    )  # fmt: skip
    if state is State.DEAD:
        error = end.error or TaskError("Unknown", "")
        return replace(told, error=Error(error.type, error.message))
    result = (end.result or "null").encode()
    if len(result) > MAX_RESULT:
        return replace(told, result_omitted=True)
    return replace(told, result=Raw(result))


def _id(end: Settlement) -> str:
    """The same for each settlement of one attempt, for no other, and known to nobody before."""
    return "webhook_" + hashlib.sha256(f"{end.task_id}\0{end.token}".encode()).hexdigest()[:40]
