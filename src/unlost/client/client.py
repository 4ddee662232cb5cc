"""Made of `async_client.py` by `python -m tests.client.one_source`."""

from __future__ import annotations

import secrets
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Final, Self, Unpack

from unlost.client.address import Address
from unlost.client.core import batches, calls
from unlost.client.core.batches import Batcher
from unlost.client.core.events import Following
from unlost.client.core.retrying import Retries
from unlost.client.edges import Edge, Flight, Tasks
from unlost.client.groups import Calls, Redrives, Schedules, Types
from unlost.client.options import DeadLetterFilters, RedriveSaid, Said, TaskFilters, TaskOptions
from unlost.client.values import Lagged, Stats, SubmitResult, TaskEvent, TaskInfo

IN_FLIGHT: Final = 4
"""Batches on their way at once."""


class Client(Calls):
    """A client of a service.

    A call whose answer is lost, or is "not now", is made again for `retry_for` seconds, with
    growing pauses, and never before `Retry-After` is over.  What it does is done once all the same.
    Errors are Conflict, NotFound, Refused and Unavailable, all of them UnlostError.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        retry_for: float = 60.0,
        timeout: float = 30.0,
    ) -> None:
        """`url` and `api_key` are UNLOST_URL and UNLOST_API_KEY if they are left out; `@FILE` is
        the key in a file.  One try may take `timeout` seconds without a byte.

        Raises ValueError for what can be no URL and no key.
        """
        self._address = Address(url, api_key)
        super().__init__(Edge(self._address, timeout), Retries(retry_for))
        self.redrives = Redrives(self._edge, self._retries)
        self.schedules = Schedules(self._edge, self._retries)
        self.types = Types(self._edge, self._retries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections; it makes no calls any more."""
        self._edge.close()

    def submit(
        self,
        payload: Mapping[str, object],
        task_id: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskInfo:
        """Submit a task; once this returns, the service has it, durably.  `payload` is a JSON
        object.

        An id that is left out is made before the first try; an error has it as its `task_id`.
        Raises Conflict where the id is a task's with another payload or other options, Refused,
        Unavailable, and ValueError for what JSON cannot hold.
        """
        named = _new_id() if task_id is None else task_id
        return self._do(calls.submit(named, payload, options))

    def submit_many(self, tasks: Tasks) -> Results:
        """Submit tasks, read as they are needed, in batches: an iterator of what became of each,
        in order.  What nobody iterates over is not submitted.

        A task is what `submit` takes, as a dict: `{"payload": {}, "task_id": "a", "type": "b"}`.
        One that is refused does not affect the others.  A batch is sent once it has 1,000 tasks or
        4 MB, or half a second has passed when the next one comes, and four are on their way.

        Iterating raises Unavailable and Refused where no task is taken; who submits the same tasks
        again, with the same ids, has submitted each once.
        """
        return Results(self._submitted(tasks))

    def _submitted(self, tasks: Tasks) -> Iterator[SubmitResult]:
        batcher, flights = Batcher(self._retries.now), deque[Flight[list[SubmitResult]]]()
        try:
            for task in self._edge.each(tasks):
                if not (batch := batcher.add(batches.item(task, _new_id))):
                    continue
                flights.append(self._sent(batch))
                while flights and (len(flights) >= IN_FLIGHT or flights[0].done()):
                    for result in self._edge.landed(flights.popleft()):
                        yield result
            flights.append(self._sent(batcher.rest()))
            while flights:
                for result in self._edge.landed(flights.popleft()):
                    yield result
        finally:
            for flight in flights:
                flight.cancel()

    def _sent(self, batch: list[batches.Item]) -> Flight[list[SubmitResult]]:
        return self._edge.begin(batches.deliver(self._retries, batch))

    def get(self, task_id: str, *, include: str | Iterable[str] | None = None) -> TaskInfo:
        """A task as it is; with the results of its steps where `include` is `steps`.

        Raises NotFound.
        """
        return self._do(calls.get(task_id, include=include))

    def wait(self, task_id: str, seconds: float) -> TaskInfo:
        """A task once it has `ended`, or as it is after so many seconds.  Raises NotFound."""
        return self._edge.run(self._retries.wait(task_id, seconds))

    def cancel(self, task_id: str, **said: Unpack[Said]) -> TaskInfo:
        """Cancel a task.  Raises Conflict where it has ended otherwise, NotFound."""
        return self._do(calls.cancel(task_id, said))

    def tasks(self, limit: int | None = None, **filters: Unpack[TaskFilters]) -> Iterator[TaskInfo]:
        """All tasks that the filters name, newest first, at most `limit`; read page by page."""
        return self._items("/tasks", calls.TaskPage, filters, limit)

    def dead_letters(
        self, limit: int | None = None, **filters: Unpack[DeadLetterFilters]
    ) -> Iterator[TaskInfo]:
        """All dead letters that the filters name, the last to die first, at most `limit`."""
        return self._items("/dead-letters", calls.TaskPage, filters, limit)

    def redrive(
        self,
        task_id: str,
        payload: Mapping[str, object] | None = None,
        **said: Unpack[RedriveSaid],
    ) -> TaskInfo:
        """Give a dead letter a fresh set of attempts, with another payload where one is given;
        recorded steps run again only if `forget` says so.

        Raises Conflict where it is no dead letter, NotFound.
        """
        return self._do(calls.redrive(task_id, _new_id(), payload, said))

    def discard(self, task_id: str, **said: Unpack[Said]) -> None:
        """Discard a dead letter: the task is cancelled.  Raises Conflict, NotFound."""
        self._do(calls.discard(task_id, _new_id(), said))

    def stats(self) -> Stats:
        """The service's counters."""
        return self._do(calls.stats())

    def events(self) -> Iterator[TaskEvent | Lagged]:
        """Transitions of tasks as they happen, without end.  They are hints: Lagged tells where
        some are missing, as after a break of the connection, which is made anew for `retry_for`
        seconds."""
        following = Following(self._retries)
        while True:
            with closing(self._edge.stream(calls.EVENTS)) as parts:
                for part in parts:
                    yield from following.took(part)
            self._edge.pause(following.pause())


class Results(Iterator[SubmitResult]):
    """What became of tasks, in order, as they are submitted."""

    def __init__(self, results: Iterator[SubmitResult]) -> None:
        self._results = results
        self._begun = False

    def __iter__(self) -> Iterator[SubmitResult]:
        self._begun = True
        return self._results

    def __next__(self) -> SubmitResult:
        self._begun = True
        return next(self._results)

    def __del__(self) -> None:
        if not self._begun:
            what = "nobody iterated over what submit_many gave, so that nothing was submitted"
            warnings.warn(what, RuntimeWarning, stacklevel=2)


def _new_id() -> str:
    return secrets.token_hex(16)
