"""Lists: pages of tasks and of dead letters, each bounded by bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from msgspec.structs import replace
from starlette.requests import Request

from unlost.api.answers import rendering
from unlost.api.answers.large import Large
from unlost.api.answers.turns import Turns
from unlost.api.frame import OWN, Frame
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operation import Operation
from unlost.api.openapi.operations import dead_letters
from unlost.api.openapi.operations import tasks as op
from unlost.api.request import query
from unlost.api.request.caller import caller_of
from unlost.ledger.protocol import Tasks
from unlost.ledger.values import Order, Page, Part, Query
from unlost.limits.why import Facts
from unlost.task import Record

STEP: Final = 50
"""Tasks with big members that are read at once, at most."""

STEP_BYTES: Final = 1024 * 1024
"""About how much is read at once; a single task may be more."""

READING: Final = 12 * 1024 * 1024
"""Bytes that a page takes while it is made, beside what of it is there already: a step's records,
one of them a large one, whose texts may take four times as much as they do in UTF-8."""

SMALL: Final = 8 * 1024
"""Bytes of a task without its big members; few have more."""

ENVELOPE: Final = 256
"""Bytes of a page that are no task, at most."""

TURN: Final = 0.004
"""Seconds of encoding after which others get their turn."""

WHY: Final = "why"
"""What `include` names beside parts of a task."""

_PARTS: Final = {
    "payload": Part.PAYLOAD,
    "result": Part.RESULT,
    "attempts": Part.ATTEMPTS,
    "traceback": Part.ATTEMPTS,
}


class Lists:
    """The endpoints that list tasks.

    Pages with big members wait for each other (`big`), and so do all others (`small`).
    """

    def __init__(
        self, ledger: Tasks, small: Turns, big: Turns, max_retries: int, frame: Frame = OWN
    ) -> None:
        self._ledger = ledger
        self._small = small
        self._big = big
        self._max_retries = max_retries
        self._frame = frame

    def routes(self) -> list[Route]:
        """What leads here."""
        return [
            Route(op.LIST, responding(self.tasks)),
            Route(dead_letters.DEAD_LETTERS, responding(self.dead_letters)),
        ]

    async def tasks(self, request: Request) -> Large:
        """A page of all tasks, newest first."""
        return self._page(request, Order.SUBMITTED, op.LIST)

    async def dead_letters(self, request: Request) -> Large:
        """A page of the dead letters, the last to die first."""
        return self._page(request, Order.DIED, dead_letters.DEAD_LETTERS)

    def _page(self, request: Request, order: Order, operation: Operation) -> Large:
        asked = query.read(request.scope["query_string"], operation.query)
        include, caller = asked["include"], caller_of(request.scope)
        wanted = Query(
            order=order,
            state=asked.get("state"),
            type=asked["type"],
            types=caller.types,
            id_prefix=asked.get("idPrefix", ""),
            since=asked.get("since"),
            until=asked.get("until"),
            error=asked.get("error"),
            limit=asked["limit"],
            cursor=asked["cursor"],
            parent=asked.get("parent"),
            parts=frozenset(_PARTS[name] for name in include - {WHY}),
        )
        make = partial(self._made, wanted, include)
        if wanted.parts:
            return Large(self._big, self._frame.page_bytes + READING, make)
        return Large(self._small, min(wanted.limit * SMALL, self._frame.page_bytes), make)

    async def _made(self, wanted: Query, include: frozenset[str]) -> list[bytes]:
        """The page's JSON, in parts, read and encoded step by step."""
        made = Made(wanted, self._frame)
        while not made.whole:
            page = await self._ledger.page(made.next)
            facts: Mapping[str, Facts] = {}
            if WHY in include:
                facts = await self._ledger.facts([one.task_id for one in page.records], 0)
            await made.add(page, partial(self._encoded, include, facts))
            del page  # else it would be there until the next one is
        return made.parts()

    def _encoded(
        self, include: frozenset[str], facts: Mapping[str, Facts], record: Record
    ) -> bytes:
        shown = self._frame.redaction.shown(record)
        known = facts.get(record.task_id)
        return rendering.encode(rendering.item(shown, include, self._max_retries, known))


class Made:
    """As much of a page as is made.

    It ends where the next task would not fit, but has one at least.  Where filters have kept the
    ledger from finding as many tasks as it was asked for, it is whole too: so that no call takes
    long.
    """

    def __init__(self, wanted: Query, frame: Frame) -> None:
        self._wanted = wanted
        self._measured = frame.measured
        self._left = frame.page_bytes - ENVELOPE
        self._items: list[bytes] = []
        self._cursor = wanted.cursor
        self.whole = False

    @property
    def next(self) -> Query:
        """What to read next."""
        limit = self._wanted.limit - len(self._items)
        return replace(
            self._wanted,
            cursor=self._cursor,
            limit=min(limit, STEP) if self._wanted.parts else limit,
            room=min(self._left, STEP_BYTES),
        )

    async def add(self, page: Page, encoded: Callable[[Record], bytes]) -> None:
        """Take what fits of what was read."""
        clock = asyncio.get_running_loop().time
        turn_ends = clock() + TURN
        for record, cursor in zip(page.records, page.cursors, strict=True):
            item = encoded(record)
            self._left -= self._measured(item) + 1
            if self._left < 0 and self._items:
                self.whole = True
                return
            self._items.append(item)
            self._cursor = cursor
            if clock() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = clock() + TURN
        goes_on = bool(page.cursors) and page.next_cursor == page.cursors[-1]
        full = self._left <= 0 or len(self._items) == self._wanted.limit
        self._cursor = page.next_cursor
        self.whole = full or not goes_on

    def parts(self) -> list[bytes]:
        """The JSON of it."""
        parts = [b'{"tasks":[']
        for item in self._items:
            parts += (item, b",")
        if self._items:
            parts.pop()
        return [*parts, b'],"nextCursor":', rendering.encode(self._cursor), b"}"]
