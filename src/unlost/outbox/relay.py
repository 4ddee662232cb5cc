"""The relay: rows of an outbox become tasks.

Each row is submitted at least once, and makes one task, since the task's id is the row's.  A row is
removed after its answer; one that was answered, but not yet removed when a relay was killed, is
submitted again by another and is a replay then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from threading import Event
from typing import Final, Protocol

import msgspec

from unlost.outbox.rows import (
    RELAY_PAUSES,
    ROW_PAUSES,
    Answer,
    Fate,
    Row,
    Unfit,
    fate,
    task_of,
)
from unlost.outbox.store import LEASE, NoOutbox, Outbox, OutboxUnavailable, Settled
from unlost.telemetry.logs import Log

BUSY_LOOK: Final = 0.02
"""Seconds between looks while rows have come lately."""

IDLE_LOOK: Final = 0.25

LATELY: Final = 10.0

SAID_AGAIN: Final = 10.0
"""Seconds between two log lines that say the same."""

NAMED: Final = 10
"""Rows that a log line names."""

_PROBLEM: Final = b'"urn:unlost:problem:'
"""What every refusal of an unlost service has in it, and hardly one of a proxy."""

log = Log("unlost.outbox")


class NotAnswered(Exception):
    """Nothing answered, or the connection broke.  The message is one line."""


class Posts(Protocol):
    """Posts lines to `/tasks/batch` of a service: the status and the body of its answer.

    Raises NotAnswered.
    """

    def __call__(self, lines: bytes, /) -> tuple[int, bytes]: ...


class _Result(msgspec.Struct):
    status: int
    detail: str = ""


class _Results(msgspec.Struct):
    results: list[_Result]


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


class Relay:
    """One of any number of relays of an outbox.  `clock` is monotonic, in seconds."""

    def __init__(
        self,
        outbox: Outbox,
        post: Posts,
        random: Random,
        clock: Callable[[], float] = time.monotonic,
        lease: float = LEASE,
    ) -> None:
        self._outbox = outbox
        self._post = post
        self._random = random
        self._clock = clock
        self._lease = lease
        self._said: dict[str, float] = {}
        self._vain = 0

    def run(self, stop: Event) -> None:
        """Relay until `stop` is set; what has begun is brought to its end."""
        came = self._clock()
        while not stop.is_set():
            try:
                rows = self.step()
            except (OutboxUnavailable, NoOutbox) as error:
                self._vain += 1
                self._tell("outbox.unavailable", {"why": str(error)})
                rows = 0
            now = self._clock()
            if rows:
                came = now
            if self._vain:
                stop.wait(RELAY_PAUSES.wait(self._vain, self._random.random()))
            elif not rows:
                lately = now - came < LATELY
                self._outbox.wait(BUSY_LOOK if lately else IDLE_LOOK, stop)
        self._outbox.close()

    def step(self) -> int:
        """Take what is due, submit it, settle it; how many rows that were.

        Raises OutboxUnavailable, NoOutbox.
        """
        rows = self._outbox.take(self._lease)
        answers = self._answers(rows)
        through = [one for one in answers.values() if fate(one.status) is not Fate.WAITS]
        self._vain = self._vain + 1 if rows and not through else 0
        settled = self._settled(rows, answers)
        if rows:
            self._outbox.settle(settled)
        self._tell_of(settled)
        return len(rows)

    def _settled(self, rows: Sequence[Row], answers: dict[str, Answer]) -> Settled:
        removed, rejected, waiting = [], [], []
        # While nothing comes through, the same rows are tried again when the relay does.
        relays = RELAY_PAUSES.wait(self._vain, 0) if self._vain else 0.0
        for row in rows:
            answer = answers[row.id]
            match fate(answer.status):
                case Fate.REMOVED:
                    removed.append(row.id)
                case Fate.REJECTED:
                    rejected.append((row.id, answer))
                case Fate.WAITS:
                    pause = relays or ROW_PAUSES.wait(row.tries + 1, self._random.random())
                    waiting.append((row.id, pause, answer))
        return Settled(removed, rejected, waiting)

    def _answers(self, rows: Sequence[Row]) -> dict[str, Answer]:
        """What each row is answered, by its id."""
        answers: dict[str, Answer] = {}
        tasks: list[tuple[str, bytes]] = []
        for row in rows:
            try:
                tasks.append((row.id, task_of(row)))
            except Unfit as unfit:
                answers[row.id] = unfit.answer
        given = self._submit([task for _, task in tasks])
        return answers | {row: one for (row, _), one in zip(tasks, given, strict=True)}

    def _submit(self, tasks: Sequence[bytes]) -> list[Answer]:
        """What each task is answered.  A call that is refused as a whole is made again in halves,
        down to the task that is to blame."""
        if not tasks:
            return []
        try:
            status, body = self._post(b"\n".join(tasks))
        except NotAnswered as error:
            return [Answer(0, str(error))] * len(tasks)
        if status == 200:
            return _read(body, len(tasks))
        answer = _whole(status, body)
        if fate(status) is not Fate.REJECTED:
            return [answer] * len(tasks)
        if len(tasks) > 1:
            half = len(tasks) // 2
            return self._submit(tasks[:half]) + self._submit(tasks[half:])
        if status == 413 or _PROBLEM in body:
            return [answer]
        return [Answer(0, f"this is not the answer of an unlost service ({status})")]

    def _tell_of(self, settled: Settled) -> None:
        """Log what is not relayed, without anything that a row holds."""
        if settled.rejected:
            ids = [one for one, _ in settled.rejected]
            statuses = Counter(str(answer.status) for _, answer in settled.rejected)
            told = {"rows": len(ids), "statuses": dict(statuses), "ids": ids[:NAMED]}
            log.warning("outbox.rejected", extra=told)
        answers = Counter((one.status, one.shown) for *_, one in settled.waiting)
        for (status, why), number in answers.most_common(NAMED):
            self._tell("outbox.waiting", {"status": status, "why": why}, rows=number)

    def _tell(self, event: str, told: dict[str, object], **more: object) -> None:
        """Log it, unless the same was said in the last seconds."""
        now, key = self._clock(), f"{event} {told}"
        self._said = {one: at for one, at in self._said.items() if now - at < SAID_AGAIN}
        if key not in self._said:
            self._said[key] = now
            log.warning(event, extra=told | more)


def _read(body: bytes, number: int) -> list[Answer]:
    try:
        results = msgspec.json.decode(body, type=_Results).results
    except (msgspec.DecodeError, UnicodeDecodeError):
        results = []
    if len(results) != number:
        return [Answer(0, "this is not the answer of an unlost service")] * number
    return [Answer(one.status, one.detail) for one in results]


def _whole(status: int, body: bytes) -> Answer:
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = _Problem()
    return Answer(status, problem.detail or problem.title)
