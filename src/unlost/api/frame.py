"""What a home allows beyond the contract: some surroundings set narrower bounds than our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from unlost.api.openapi.operation import Operation
from unlost.api.openapi.schemas.tasks import MAX_BATCH, MAX_WAIT
from unlost.api.problems import NotOffered
from unlost.api.request import submission
from unlost.asked import names
from unlost.asked.submission import Rules
from unlost.task import MAX_TIMEOUT, Submission
from unlost.telemetry.redaction import NOTHING, Redaction
from unlost.webhooks.target import Reach


class Frame(msgspec.Struct, frozen=True):
    """The bounds of a home.

    `instead` has the paths that this home does not offer, each with what to use instead.
    `page_bytes` is how much a page may be, as `measured`: it ends before, unless a single task
    is more.
    `longest_wait` (seconds) is how long a call for a task's end is held at most: who asks for
    longer gets the task as it is by then; `longest_claim` is the same for a claim of attempts.
    `longest_timeout` (seconds) is the most that a submit may ask for whose type is not marked
    `pull`; `callbacks` is how far the URLs may lead that it names, None: it may name none.
    `redaction` masks what is not shown.
    `decoded_paths` says that paths come decoded; `legible` that what is new must have a name which
    is not misread in one.
    `schedule_grace` (seconds) is how late a time of a schedule may be that does not say it.
    `gateway` says that calls come through the home's own gateway, and under its names alone.
    """

    instead: Mapping[str, str] = {}
    batch_tasks: int = MAX_BATCH
    batch_bytes: int = 64 * 1024 * 1024
    longest_timeout: float = MAX_TIMEOUT
    callbacks: Reach | None = None
    longest_wait: float = MAX_WAIT
    longest_claim: float = MAX_WAIT
    page_bytes: int = 8 * 1024 * 1024
    measured: Callable[[bytes], int] = len
    redaction: Redaction = NOTHING
    decoded_paths: bool = False
    legible: bool = False
    schedule_grace: int = 60
    gateway: bool = False

    def name(self, check: Callable[[object], str]) -> Callable[[object], str]:
        """How the name of something new is checked here that may stand in a path."""
        return names.legible(check) if self.legible else check

    @property
    def rules(self) -> Rules:
        """What holds for submits, whatever their types."""
        return Rules(callbacks=self.callbacks, legible=self.legible)

    def read(self, body: bytes, by: str | None) -> Submission:
        """The task that a body asks for, by this key (see `submission.read`), within these bounds,
        but for its timeout, which `Timeouts` knows."""
        return submission.read(body, self.rules, by)

    def read_plain(self, bodies: Sequence[bytes], by: str | None) -> list[Submission] | None:
        """The same of many at once, where all are as most are (see `submission.read_plain`)."""
        return submission.read_plain(bodies, self.rules, by)


OWN: Final = Frame()
"""Our own server's, which is the contract's."""

SWEPT_GRACE: Final = 300
"""`schedule_grace` of a home whose sweep, which makes the ticks, comes once a minute."""


def on_ledger(url: str) -> Frame:
    """The bounds of calls that come to this ledger itself, past the server or gateway of its
    home."""
    return Frame(schedule_grace=SWEPT_GRACE, legible=True) if names.wanted_on(url) else OWN


def not_offered(instead: str) -> ASGIApp:
    """An endpoint that says what to use instead."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotOffered(f"this home does not offer it; use {instead}")

    return refuse


def refused(operation: Operation) -> Operation:
    """An operation that is only ever refused so, as the OpenAPI document describes it."""
    return msgspec.structs.replace(operation, answers={}, query=(), refused=(501,))
