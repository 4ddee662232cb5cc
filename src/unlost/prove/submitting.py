"""A client that submits every task, again and again until it hears that it is in.

Of some batches it throws the first answer away, as if the connection had broken, and submits them
again: they must turn out to be there.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from select import select
from threading import Event

import msgspec

from unlost.chance import fraction
from unlost.prove.tree import Place

BATCH = 20
PATIENCE = 10.0
"""Seconds that one answer may take."""

PAUSE = 0.05
"""Seconds between two tries."""


class Job(msgspec.Struct, frozen=True):
    """One task: its id, its type, and its body as `POST /tasks` takes it, on one line."""

    task_id: str
    type: str
    body: bytes


class Refusal(msgspec.Struct, frozen=True):
    """A good task that was refused."""

    task_id: str
    status: int
    detail: str


class _Result(msgspec.Struct, rename="camel"):
    task_id: str | None
    status: int
    detail: str = ""


class _Answer(msgspec.Struct):
    results: list[_Result]


class Client:
    """Submits jobs to wherever `place` says that the API is just now."""

    def __init__(self, place: Callable[[], Place | None], seed: int, loss: float) -> None:
        """`loss` is the share of batches whose first answer is thrown away."""
        self._place = place
        self._seed = seed
        self._loss = loss
        self._stopped = Event()
        self.acknowledged: set[str] = set()
        self.refusals: list[Refusal] = []
        self.new_at_replay: list[str] = []
        self.answers_lost = 0

    def stop(self) -> None:
        """Have `submit` and `replay` return soon."""
        self._stopped.set()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Submit these until each is in or refused.  Raises OSError where that cannot be known."""
        for batch in _batches(jobs):
            if fraction(self._seed, "submit", batch[0].task_id) < self._loss:
                self._post(batch, self._throw_away)
            for result in self._post(batch, _read):
                self._note(result)

    def replay(self, jobs: Sequence[Job]) -> None:
        """Submit these again; none of them may be new."""
        for batch in _batches(jobs):
            for result in self._post(batch, _read):
                if result.status == 202 and result.task_id is not None:
                    self.new_at_replay.append(result.task_id)
                else:
                    self._note(result)

    def _note(self, result: _Result) -> None:
        if result.task_id is not None and result.status in (200, 202):
            self.acknowledged.add(result.task_id)
        else:
            self.refusals.append(Refusal(result.task_id or "", result.status, result.detail))

    def _post(
        self,
        batch: Sequence[Job],
        read: Callable[[http.client.HTTPConnection], list[_Result] | None],
    ) -> list[_Result]:
        """What `read` makes of the answer, once there is one that is no passing refusal."""
        body = b"\n".join(job.body for job in batch)
        while not self._stopped.is_set():
            place = self._place()
            if place is not None:
                connection = http.client.HTTPConnection(*place, timeout=PATIENCE)
                with contextlib.suppress(OSError, http.client.HTTPException):
                    headers = {"content-type": "application/x-ndjson"}
                    connection.request("POST", "/tasks/batch", body, headers)
                    results = read(connection)
                    if results is not None:
                        return results
                connection.close()
            time.sleep(PAUSE)
        return []

    def _throw_away(self, connection: http.client.HTTPConnection) -> list[_Result] | None:
        """Wait until the answer has come, and hang up without reading it."""
        if select([connection.sock], [], [], PATIENCE)[0]:
            self.answers_lost += 1
        connection.close()
        return []


def _batches(jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
    return (jobs[start : start + BATCH] for start in range(0, len(jobs), BATCH))


def _read(connection: http.client.HTTPConnection) -> list[_Result] | None:
    """What became of each task; None if all of it should be tried again."""
    with connection.getresponse() as response:
        text = response.read()
    connection.close()
    if response.status != 200:
        return None
    results = msgspec.json.decode(text, type=_Answer).results
    return None if any(result.status == 503 for result in results) else results
