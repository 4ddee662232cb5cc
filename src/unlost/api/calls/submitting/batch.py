"""Submitting many tasks at once: `{"tasks": […]}` or NDJSON."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, starmap
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from unlost import jsonbatch, jsontext
from unlost.access.caller import Caller
from unlost.api.answers import rendering
from unlost.api.calls.submitting.backlog import full
from unlost.api.calls.submitting.intake import Intake
from unlost.api.calls.submitting.narrow import SHORT, Item, Narrow
from unlost.api.calls.tasks import conflict_of
from unlost.api.frame import OWN, Frame
from unlost.api.http.admission import other_type
from unlost.api.http.endpoints import responding, traced
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import tasks as op
from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.openapi.schemas.tasks import BatchBody, BatchResult
from unlost.api.problems import (
    Conflict,
    Malformed,
    Problem,
    TooLarge,
    Unavailable,
    invalid,
    let_go,
    log_cause,
    pointer,
    problem_of,
)
from unlost.api.request import bodies
from unlost.api.request.bodies import MediaType
from unlost.api.request.caller import caller_of
from unlost.asked import checks
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Verdict
from unlost.task import Submission
from unlost.telemetry.measuring import Recorder
from unlost.telemetry.seldom import Tells
from unlost.tracing import Tracing

CHUNKS_AT_ONCE: Final = 4
QUICK: Final = 1024 * 1024
"""Bytes that are split into tasks so quickly that others need no turn meanwhile."""

IN_VAIN: Final = 1.0
"""Seconds after which a chunk that could not be stored speaks for those that come after it."""

TOGETHER: Final = 200
"""Tasks that are read together."""

HEAVIEST: Final = 96 * 1024
"""The most bytes of them: reading them is one piece of work."""

FRACTIONS: Final = 1_000
"""The most decimal fractions of them, each of which is read by itself."""

TURN: Final = 0.004
"""Seconds of parsing after which others get their turn."""

_LINE = re.compile(rb"[^ \t\r\n][^\n]*")

_STORED: Final = {Verdict.ACCEPTED: 202, Verdict.REPLAYED: 200}

Text = bytes | memoryview
Refused = Callable[[Sequence[Submission]], Awaitable[frozenset[int]]]


class _Results:
    """What becomes of each task, and when those that were refused just now may come again.  The
    batch has so many bytes."""

    def __init__(self, number: int, size: int) -> None:
        self.each: list[BatchResult | None] = [None] * number
        self.size = size
        self.narrow = Narrow()
        self._after = 0

    def wait(self, why: Problem) -> None:
        """A task is refused: the answer asks for the longest of all waits."""
        self._after = max(self._after, int(why.headers.get("Retry-After", 0)))

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        return {"Retry-After": str(self._after)} if self._after else {}


class Batches:
    """The endpoint of `/tasks/batch`.  Why tasks are answered 503 is told to `unavailable`;
    `recorder` counts those that are refused."""

    def __init__(
        self, intake: Intake, unavailable: Tells, recorder: Recorder, frame: Frame = OWN
    ) -> None:
        self._intake = intake
        self._unavailable = unavailable
        self._recorder = recorder
        self._frame = frame

    def routes(self, tracing: Tracing) -> list[Route]:
        """What leads here; `tracing` is told of submits."""
        return [Route(op.SUBMIT_BATCH, traced(responding(self.submit), tracing, batch=True))]

    async def submit(self, request: Request) -> Response:
        """Store every good task, and say of each what became of it."""
        form = bodies.media_type(request.scope, MediaType.JSON, MediaType.NDJSON)
        lines = form is MediaType.NDJSON
        split = partial(_lines if lines else _elements, most=self._frame.batch_tasks)
        body = await bodies.read(request.scope, request.receive, self._frame.batch_bytes)
        texts = await asyncio.to_thread(split, body) if len(body) > QUICK else split(body)
        results = _Results(len(texts), len(body))
        caller = caller_of(request.scope)
        items = await self._parse(texts, results, caller.name, lines=lines)
        del body, texts
        allowed = await self._within(self._allowed(items, results, caller), results, caller)
        await self._store(allowed, results)
        summary = _summary([result for result in results.each if result])
        return rendering.answer(summary, headers=results.headers)

    async def _parse(
        self,
        texts: Sequence[Text],
        results: _Results,
        by: str | None,
        *,
        lines: bool,
    ) -> list[Item]:
        """The good ones; what is wrong with the others goes into `results`.

        What is not JSON is wrong alone on a line of its own, but fails an array whole: Malformed.
        """
        items: list[Item] = []
        now = asyncio.get_running_loop().time
        turn_ends = now() + TURN
        together = _together(texts)
        for start in range(0, len(texts), together):
            some = texts[start : start + together]
            plain = self._together(some, by)
            if plain is not None:
                keep = results.narrow.keep
                long = max(map(len, some)) > SHORT
                items += starmap(keep, enumerate(plain, start)) if long else enumerate(plain, start)
                some = ()
            for index, text in enumerate(some, start):
                self._read(index, bytes(text), by, items, results, lines=lines)
                if now() > turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = now() + TURN
            if now() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = now() + TURN
        return items

    def _together(self, texts: Sequence[Text], by: str | None) -> list[Submission] | None:
        """The tasks of these texts, where that can be told of all in little time."""
        if sum(map(len, texts)) > HEAVIEST:
            return None
        bodies = list(map(bytes, texts))
        whole = b"".join(bodies)  # to find nothing in one text is quick
        if b"." in whole and whole.count(b".") > FRACTIONS:
            return None
        return self._frame.read_plain(bodies, by)

    def _read(
        self,
        index: int,
        text: bytes,
        by: str | None,
        items: list[Item],
        results: _Results,
        *,
        lines: bool,
    ) -> None:
        """The task of one text; what is wrong with it goes into `results`."""
        try:
            items.append(results.narrow.keep(index, self._frame.read(text, by)))
        except Problem as problem:
            if isinstance(problem, Malformed) and not lines:
                raise Malformed(f"task {index} is not JSON: {problem.detail}") from None
            task_id = None if isinstance(problem, Malformed) else _id_of(text)
            self._refuse([(index, task_id)], results, problem)

    async def _within(
        self, items: Sequence[Item], results: _Results, caller: Caller
    ) -> Sequence[Item]:
        """Those whose timeouts may be, and that the key's rate and the backlog have room for; the
        others are refused."""
        timeouts, backlog = self._intake.timeouts, self._intake.backlog
        if timeouts.bounded:
            items = await self._without(items, results, timeouts.refused, timeouts.refusal)
        most = self._intake.pace.take(caller, len(items))
        if most < len(items):
            self._refuse(_named(items[most:]), results, self._intake.pace.refusal(caller))
            items = items[:most]
        if backlog.bounded:
            items = await self._without(items, results, backlog.refused, full())
        return items

    async def _without(
        self, items: Sequence[Item], results: _Results, refused: Refused, why: Problem
    ) -> Sequence[Item]:
        """The items that are not refused."""
        try:
            some = await refused([new for _, new in items])
        except LedgerUnavailable as error:
            log_cause(self._unavailable, error)
            self._refuse(_named(items), results, problem_of(error) or Unavailable("try again"))
            return []
        self._refuse(_named(items[turn] for turn in some), results, why)
        return [item for turn, item in enumerate(items) if turn not in some] if some else items

    async def _store(self, items: Sequence[Item], results: _Results) -> None:
        """The first task of each id goes in chunks, several at once; those that repeat an id
        follow one chunk after another, so that it is the first that is stored."""
        first, repeated = _split(items)
        at_once = asyncio.Semaphore(CHUNKS_AT_ONCE)
        down: list[LedgerUnavailable] = []
        async with asyncio.TaskGroup() as group:
            for chunk in results.narrow.chunks(first, results.size):
                await at_once.acquire()
                storing = group.create_task(self._store_chunk(chunk, results, down))
                storing.add_done_callback(lambda _: at_once.release())
        for chunk in results.narrow.chunks(repeated, results.size):
            await self._store_chunk(chunk, results, down)

    async def _store_chunk(
        self,
        chunk: Sequence[Item],
        results: _Results,
        down: list[LedgerUnavailable],
    ) -> None:
        """Store them, unless one of the chunks before has waited for a ledger that is `down`: the
        caller must not wait once for each."""
        now = asyncio.get_running_loop().time
        began = now()
        try:
            if down:
                raise down[0]
            stored = await self._intake.store(results.narrow.whole(chunk))
        except (LedgerUnavailable, Unavailable) as error:
            if isinstance(error, LedgerUnavailable) and now() > began + IN_VAIN:
                down.append(error)
            log_cause(self._unavailable, error)
            self._refuse(_named(chunk), results, problem_of(error) or Unavailable("try again"))
            let_go(error)  # which is in `down`
            return
        for (index, new), outcome in zip(chunk, stored, strict=True):
            status = _STORED.get(outcome.verdict)
            if status is None:
                refusal = Conflict(conflict_of(new.task_id))
                self._refuse([(index, new.task_id)], results, refusal)
            else:
                results.each[index] = BatchResult(new.task_id, status)

    def _allowed(self, items: Sequence[Item], results: _Results, caller: Caller) -> Sequence[Item]:
        """Those of types that the caller may submit; the others are refused."""
        if caller.types is None:
            return items
        others = (item for item in items if not caller.sees(item[1].type))
        self._refuse(_named(others), results, other_type())
        return [item for item in items if caller.sees(item[1].type)]

    def _refuse(
        self,
        items: Iterable[tuple[int, str | None]],
        results: _Results,
        why: Problem,
    ) -> None:
        """Refuse tasks, each named by its index and its id, if it has one."""
        for index, task_id in items:
            results.wait(why)
            results.each[index] = BatchResult(task_id, why.status, why.detail)
            self._recorder.refused(why.kind)


def _named(items: Iterable[Item]) -> Iterator[tuple[int, str]]:
    return ((index, new.task_id) for index, new in items)


def _together(texts: Sequence[Text]) -> int:
    """How many of these to read together, if they are of about one size."""
    half = HEAVIEST // 2
    return max(1, min(TOGETHER, half * len(texts) // max(1, sum(map(len, texts)))))


def _lines(body: bytes, most: int) -> Sequence[Text]:
    """The lines that are not blank; of a large body as views.  Raises TooLarge."""
    found: Sequence[Text]
    if len(body) <= QUICK:
        found = [text for line in body.split(b"\n") if (text := line.lstrip(b" \t\r"))]
    else:
        whole = memoryview(body)
        found = [whole[slice(*line.span())] for line in islice(_LINE.finditer(body), most + 1)]
    if len(found) > most:
        raise _too_many(most)
    return found


def _elements(body: bytes, most: int) -> Sequence[Text]:
    """The elements of `tasks`.  Raises Malformed, Invalid, TooLarge."""
    try:
        return [memoryview(raw) for raw in jsonbatch.split_tasks(body, limit=most)]
    except jsontext.NotJson as error:
        raise Malformed(f"the body is not JSON: {error}" if body else "the body is empty") from None
    except jsonbatch.NotBatch as error:
        raise invalid([FieldError(str(error), pointer())]) from None
    except jsonbatch.TooManyTasks:
        raise _too_many(most) from None


def _too_many(most: int) -> TooLarge:
    return TooLarge(f"a batch holds at most {most} tasks")


class _Body(msgspec.Struct):
    taskId: Any = None  # noqa: N815 - as it is on the wire


_body = msgspec.json.Decoder(_Body).decode


def _id_of(text: bytes) -> str | None:
    """The id of a task that was refused, if it has one that a task may have."""
    try:
        return checks.task_id(_body(text).taskId)
    except (checks.Wrong, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _split(items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
    seen: set[str] = {new.task_id for _, new in items}
    if len(seen) == len(items):
        return items, []
    seen.clear()
    first: list[Item] = []
    repeated: list[Item] = []
    for item in items:
        task_id = item[1].task_id
        (repeated if task_id in seen else first).append(item)
        seen.add(task_id)
    return first, repeated


def _summary(results: list[BatchResult]) -> BatchBody:
    number = Counter([result.status for result in results])
    accepted, replayed = number[202], number[200]
    return BatchBody(accepted, replayed, len(results) - accepted - replayed, results)
