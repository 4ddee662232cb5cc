"""A worker's way to its ledger, on which leases are taken away and answers get lost.

The ledger itself is the real one, and so is each step: an attempt whose lease is taken away is
settled as lost, as a sweep does it once a lease is over.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from unlost.handlers import Task
from unlost.ledger import sqlite
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.values import Claim, Claimed, Part, Settled, Settlement
from unlost.prove.fates import KILLS, Fate
from unlost.prove.journal import Journal, Kind
from unlost.prove.spec import Spec
from unlost.task import TERMINAL, Micros
from unlost.worker import attempt

PATIENCE = 3.0
"""Seconds that an attempt waits for the one that is to overtake it."""

LOOK = 0.01
"""Seconds between looks for that one."""


class CutOff:
    """Knows the attempts of this process by their tokens, and which of them are cut off."""

    def __init__(self, journal: Journal, spec: Spec) -> None:
        self._journal = journal
        self._backoff = spec.backoff
        self._lock = spec.overtaken
        self._random = Random()
        self._claimed: dict[str, Claimed] = {}
        self._overtaken: dict[str, int] = {}  # each with its share of the lock
        self._unsettled: set[str] = set()
        self._to_lose: set[str] = set()
        self._ledger: _Ledger | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def stand_between(self) -> None:
        """Have the ledger that this process opens next go through here."""
        sqlite.SqliteLedger = self._open  # type: ignore[assignment,misc]

    def _open(self, path: Path, clock: Callable[[], Micros], **options: Any) -> SqliteLedger:
        self._ledger = _Ledger(self, path, clock, **options)
        return self._ledger

    def lose_answer(self, task: Task) -> None:
        """Lose the answer to this attempt's settlement."""
        self._to_lose.add(self._token(task))

    @contextmanager
    def told_of_end(self, task: Task) -> Iterator[None]:
        """Know from the block's end on that this attempt waits only for its settlement."""
        token = self._token(task)
        try:
            yield
        finally:
            self._unsettled.add(token)

    def from_thread(self, step: Coroutine[Any, Any, None]) -> None:
        """Take a step in the event loop, and wait for it in another thread."""
        assert self._loop is not None  # noqa: S101  an attempt was claimed in it
        asyncio.run_coroutine_threadsafe(step, self._loop).result()

    async def before(self, task: Task, fate: Fate) -> None:
        """What is to happen before the handler runs."""
        if fate is Fate.OVERTAKEN_BEFORE:
            await self._overtake(task, fate)
        # A kill is to end this attempt, not others that have only to be settled still; and who
        # was overtaken shall live to be settled too late.
        if fate in KILLS:
            await self._when(task, self._settled_here)
        if fate is Fate.TREE_KILLED:
            await self._when(task, self._none_overtaken)

    async def after(self, task: Task, fate: Fate) -> None:
        """What is to happen after the handler has returned."""
        if fate is Fate.OVERTAKEN_AFTER:
            await self._overtake(task, fate)

    async def _overtake(self, task: Task, fate: Fate) -> None:
        """Take this attempt's lease away; return when the task's next attempt runs (or soon)."""
        token = self._token(task)
        lost = attempt.settlement(
            self._claimed[token], attempt.LOST, self._backoff, lambda _: self._random.random()
        )
        self._overtaken[token] = _opened(self._lock)
        fcntl.flock(self._overtaken[token], fcntl.LOCK_SH)
        self._journal.note(Kind.STRUCK, task.id, task.number, fate)
        await self._opened_ledger.settle_for_real([lost])
        await self._when(task, partial(self._is_overtaken, task))

    async def _settled_here(self) -> bool:
        return not self._overtaken and not self._unsettled

    async def _none_overtaken(self) -> bool:
        lock = _opened(self._lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(lock)

    async def _is_overtaken(self, task: Task) -> bool:
        record = await self._opened_ledger.get(task.id, (Part.ATTEMPTS,))
        return (
            record is None or record.state in TERMINAL or record.attempts[-1].number > task.number
        )

    async def _when(self, task: Task, holds: Callable[[], Awaitable[bool]]) -> None:
        """Return when this holds; after a while in any case, and well before the timeout."""
        claimed = self._claimed[self._token(task)]
        loop = asyncio.get_running_loop()
        end = loop.time() + min(PATIENCE, claimed.timeout / 2)
        while loop.time() < end and not await holds():  # noqa: ASYNC110  of other processes
            await asyncio.sleep(LOOK)

    @property
    def _opened_ledger(self) -> _Ledger:
        assert self._ledger is not None  # noqa: S101  an attempt was claimed through it
        return self._ledger

    def _token(self, task: Task) -> str:
        return next(
            token
            for token, one in self._claimed.items()
            if (one.task_id, one.number) == (task.id, task.number)
        )

    # What the ledger tells

    def claimed(self, found: Sequence[Claimed]) -> None:
        """These attempts were claimed."""
        self._loop = asyncio.get_running_loop()
        self._claimed |= {one.token: one for one in found}

    def settled(self, settlements: Sequence[Settlement], held: Sequence[Settled]) -> None:
        """These attempts were settled.  Raises LedgerUnavailable where that is not to be known."""
        lost = False
        for one, good in zip(settlements, held, strict=True):
            known = self._claimed.get(one.token)
            if known is None:
                continue
            if one.token in self._to_lose:
                self._to_lose.discard(one.token)
                self._journal.note(Kind.STRUCK, known.task_id, known.number, Fate.ANSWER_LOST)
                lost = True
            else:
                self._forget(known, good)
        if lost:
            raise LedgerUnavailable("the answer was lost, as injected")

    def _forget(self, known: Claimed, good: Settled) -> None:
        del self._claimed[known.token]
        self._unsettled.discard(known.token)
        if known.token in self._overtaken:
            os.close(self._overtaken.pop(known.token))
            kind = Kind.HELD if good else Kind.REFUSED
            self._journal.note(kind, known.task_id, known.number)

    def reachable(self, tokens: Mapping[str, str]) -> Mapping[str, str]:
        """Those that may be asked about: who is cut off does not learn that it was overtaken."""
        return {token: task for token, task in tokens.items() if token not in self._overtaken}


class _Ledger(SqliteLedger):
    """The real ledger, with a `CutOff` in the way."""

    def __init__(
        self, cut_off: CutOff, path: Path, clock: Callable[[], Micros], **options: Any
    ) -> None:
        super().__init__(path, clock, **options)
        self._cut_off = cut_off

    async def claim(self, claim: Claim) -> list[Claimed]:
        found = await super().claim(claim)
        self._cut_off.claimed(found)
        return found

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        held = await super().settle(settlements)
        self._cut_off.settled(settlements, held)
        return held

    async def settle_for_real(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Settle as anybody else would."""
        return await super().settle(settlements)

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        return await super().dropped(self._cut_off.reachable(tokens))


def _opened(lock: Path) -> int:
    return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
