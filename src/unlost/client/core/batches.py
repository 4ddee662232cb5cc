"""From tasks to batches, and what becomes of each: pure but for the clock that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from unlost.client import options
from unlost.client.core.answers import asked_wait, is_passing, problem_of, read, refusal
from unlost.client.core.calls import Call
from unlost.client.core.retrying import Retries
from unlost.client.core.wire import NoAnswer, Request, Steps
from unlost.client.errors import UnlostError
from unlost.client.values import SubmitResult

MOST: Final = 1_000
HEAVIEST: Final = 4_000_000
"""Tasks and bytes of one batch: as many as every home takes."""

LONGEST: Final = 0.5
"""Seconds after which a batch is sent though it is not full, once the next task is there."""


class Item(msgspec.Struct, frozen=True):
    """A task as it goes over the wire; `refused` is what became of one that cannot."""

    task_id: str
    body: bytes
    refused: SubmitResult | None = None


def item(task: Mapping[str, Any], new_id: Callable[[], str]) -> Item:
    """A task of `submit_many` for the wire.  Raises TypeError for what is no mapping."""
    if type(task) is not dict and not isinstance(task, Mapping):
        raise TypeError(f"a task is a mapping with a payload, not {type(task).__name__}")
    given = dict(task)
    payload, task_id = given.pop("payload", None), given.pop("task_id", None)
    task_id = given.pop("taskId", None) if task_id is None else task_id
    task_id = new_id() if task_id is None else task_id
    try:
        said = options.members(given) if given else {}
        return Item(task_id, options.body({"taskId": task_id, **said, "payload": payload}))
    except ValueError as error:  # as the service would say it of a task that it cannot read
        name = task_id if isinstance(task_id, str) else None
        return Item("", b"", SubmitResult(name, 422, str(error)))


@dataclass
class Batcher:
    """Gathers tasks to batches."""

    now: Callable[[], float]
    _batch: list[Item] = field(default_factory=list)
    _bytes: int = 0
    _began: float = 0.0

    def add(self, one: Item) -> list[Item]:
        """Add a task; the batch that is to be sent now, or nothing."""
        size, full = len(one.body) + 1, []
        if self._batch and self._bytes + size > HEAVIEST:
            full = self.rest()
        if not self._batch:
            self._began = self.now()
        self._batch.append(one)
        self._bytes += size
        if not full and (len(self._batch) >= MOST or self.now() > self._began + LONGEST):
            full = self.rest()
        return full

    def rest(self) -> list[Item]:
        """What has been gathered since the last batch."""
        batch, self._batch, self._bytes = self._batch, [], 0
        return batch


class _Results(msgspec.Struct):
    results: list[SubmitResult]


def deliver(retries: Retries, items: Sequence[Item]) -> Steps[list[SubmitResult]]:
    """What becomes of each of these tasks, in order.  Those that the service could not take just
    now are submitted again, for `retry_for` after it took the last one.

    Raises Unavailable, Refused, UnlostError.
    """
    results = {place: one.refused for place, one in enumerate(items) if one.refused}
    left = [place for place in range(len(items)) if place not in results]
    since, tries = retries.now(), 0
    while left:
        found, wait = yield from _submitted(retries, [items[place] for place in left])
        stay = {
            place: one for place, one in zip(left, found, strict=True) if not is_passing(one.status)
        }
        results |= stay
        if len(stay) == len(left):
            break
        if stay:
            since, tries = retries.now(), 0
        tries += 1
        why = next(one for one in found if is_passing(one.status))
        yield retries.pause(tries, since, NoAnswer(f"{why.detail} ({why.status})", wait))
        left = [place for place in left if place not in stay]
    return [results[place] for place in range(len(items))]


def _submitted(retries: Retries, items: Sequence[Item]) -> Steps[tuple[list[SubmitResult], float]]:
    """What the service says of each, and for how many seconds those that it could not take just now
    are not to be submitted again.  A batch that is too large for what lies between (nginx takes
    1 MB unless told otherwise) goes in halves."""
    body = b"\n".join([one.body for one in items])
    request = Request("POST", "/tasks/batch", body=body, content_type="application/x-ndjson")
    call = Call(request, lambda answer: read(answer, _Results).results)
    answer, _ = yield from retries.answered(call)
    if answer.status == 413 and len(items) > 1:
        half = len(items) // 2
        first, one = yield from _submitted(retries, items[:half])
        second, other = yield from _submitted(retries, items[half:])
        return first + second, max(one, other)
    if answer.status == 413:
        return [SubmitResult(items[0].task_id, 413, str(problem_of(answer)))], 0.0
    if answer.status not in call.expected:
        raise refusal(answer)
    results = call.reads(answer)
    if len(results) != len(items):
        raise UnlostError(f"the service answered {len(results)} of {len(items)} tasks")
    return results, asked_wait(answer)
