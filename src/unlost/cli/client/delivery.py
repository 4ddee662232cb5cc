"""Delivering batches of tasks to the service, again and again until it has them.

That is safe because each task brings its own id: what is already there is a replay.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import TypeVar

import msgspec

from unlost.cli.client.connection import NoService, Refused, Service, read
from unlost.cli.client.ndjson import Item
from unlost.cli.failures import Failed
from unlost.policy import Backoff

T = TypeVar("T")

PASSING = frozenset({429, 502, 503, 504})
"""Statuses after which the same call may succeed."""

FIRST_PATIENCE = 3.0
"""Seconds to wait for a service that has never answered: its address may just be wrong."""

_BACKOFF = Backoff(base=0.2, cap=5.0)
_LONGEST_WAIT = 30.0


class Answer(msgspec.Struct, rename="camel"):
    """What became of one task."""

    task_id: str | None
    status: int
    detail: str = ""


class _Batch(msgspec.Struct):
    results: list[Answer]


@dataclass(frozen=True)
class Clock:
    """Time as the delivery sees it."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


CLOCK = Clock()
"""The machine's own."""


class Courier:
    """Delivers batches to one service, from several threads at once."""

    def __init__(self, service: Service, patience: float, clock: Clock = CLOCK) -> None:
        """`patience`: how many seconds to go on trying while nothing gets through."""
        self._service = service
        self._patience = patience
        self._clock = clock
        self._answered = False

    def deliver(self, batch: Sequence[Item]) -> list[Answer]:
        """The service's answer to each item, none of them a passing one.

        Raises NoService or Refused when patience is over, or for a refusal that would stay.
        """
        answers: dict[int, Answer] = {}
        tries, since = 0, self._clock.now()
        while left := [place for place in range(len(batch)) if place not in answers]:
            final, trouble = self._try(batch, left)
            answers |= final
            if final:
                tries, since = 0, self._clock.now()
            if len(final) < len(left):
                tries += 1
                self._wait(tries, since, trouble)
        return [answers[place] for place in range(len(batch))]

    def _try(
        self, batch: Sequence[Item], places: list[int]
    ) -> tuple[dict[int, Answer], NoService | Refused]:
        """The final answers to the items at these places, and why there may be none to others."""
        try:
            return self._send(batch, places)
        except Refused as error:
            self._answered = True
            if error.status not in PASSING:
                raise
            return {}, error
        except NoService as error:
            return {}, error

    def _send(self, batch: Sequence[Item], places: list[int]) -> tuple[dict[int, Answer], Refused]:
        body = b"\n".join(batch[place].body for place in places)
        answer, retry_after = self._service.post_lines("/tasks/batch", body)
        self._answered = True
        results = read(answer, _Batch).results
        if len(results) != len(places):
            raise Failed(f"the service answered {len(results)} of {len(places)} tasks")
        passing = [one for one in results if one.status in PASSING]
        why = next((one.detail for one in passing if one.detail), "the service is too busy")
        status = passing[0].status if passing else 503
        return {
            place: result
            for place, result in zip(places, results, strict=True)
            if result.status not in PASSING
        }, Refused(f"{why} ({status})", status, retry_after)

    def _wait(self, tries: int, since: float, trouble: NoService | Refused) -> None:
        """Wait before the next try; raises `trouble` where that would outlast patience."""
        asked = (isinstance(trouble, Refused) and trouble.retry_after) or 0.0
        wait = max(_BACKOFF.wait(tries, random.random()), min(asked, _LONGEST_WAIT))
        patience = self._patience if self._answered else min(self._patience, FIRST_PATIENCE)
        if self._clock.now() + wait > since + patience:
            raise trouble
        self._clock.sleep(wait)


def in_background(work: Callable[[], T]) -> Future[T]:
    """Run `work` in a thread that does not keep the process alive, unlike an executor's."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
