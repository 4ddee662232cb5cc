"""Statements that travel together: sent in one piece, and their answers read in one go.

The driver's own pipelines send each statement by itself, which wakes the server's process for each;
and a cursor a statement costs as much as most of ours do on the server.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from psycopg.abc import Transformer
from psycopg.adapt import PyFormat
from psycopg.errors import Error, OperationalError, error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

Values = Mapping[str, Any] | Sequence[Any] | None

PREPARE_AFTER: Final = 3
"""Runs of a statement after which the server is asked to keep its plan."""

MOST_PREPARED: Final = 100
"""Plans that the server keeps for a connection."""

PARAMETER: Final = re.compile(r"%(?:\((\w+)\))?s|%%")

FAILED: Final = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED, ExecStatus.BAD_RESPONSE)

_Key = tuple[bytes, tuple[int, ...]]


class Kept:
    """The statements of which the server keeps the plans, for one connection."""

    def __init__(self) -> None:
        self._runs: Counter[_Key] = Counter()
        self._names: OrderedDict[_Key, bytes] = OrderedDict()
        self._number = 0

    def name(self, key: _Key) -> bytes | None:
        """That of a statement that is kept."""
        name = self._names.get(key)
        if name is not None:
            self._names.move_to_end(key)
        return name

    def new(self, key: _Key) -> tuple[bytes | None, bytes | None]:
        """The name under which one that is run now is to be kept from now on, if it is, and the
        name of one that is not to be kept any longer."""
        self._runs[key] += 1
        if self._runs[key] <= PREPARE_AFTER:
            if len(self._runs) > 10 * MOST_PREPARED:
                self._runs.clear()
            return None, None
        del self._runs[key]
        last = self._names.popitem(last=False)[1] if len(self._names) == MOST_PREPARED else None
        self._names[key] = name = b"unlost_%d" % self._number
        self._number += 1
        return name, last


class Answer:
    """What has come of a statement, once it was read."""

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        self.result: PGresult | None = None

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Its rows."""
        if self.result is None:
            raise RuntimeError("not read yet")
        self._transformer.set_pgresult(self.result)
        return self._transformer.load_rows(0, self.result.ntuples, tuple)


class Pipeline:
    """The statements of one transaction, on a connection that nobody else uses meanwhile.

    After an error the connection must be closed.  Nothing is `kept` behind a pooler, where the
    server's process is another at any time.
    """

    def __init__(self, pgconn: PGconn, transformer: Transformer, kept: Kept | None) -> None:
        self._pgconn = pgconn
        self._transformer = transformer
        self._kept = kept
        self._unread: list[Answer | None] = []  # None: what brings no rows by itself
        self._behind: list[Answer | None] = []
        self._ended = False
        pgconn.enter_pipeline_mode()

    def send(self, sql: str, values: Values = None) -> Answer:
        """Have a statement sent with the next exchange.  Raises psycopg.Error."""
        words, names = _numbered(sql) if values is not None else (sql.encode(), ())
        given: Sequence[Any] = ()
        if isinstance(values, Mapping):
            given = [values[name] for name in names]
        elif values is not None:
            given = values
        known = self._transformer
        params = known.dump_sequence(given, [PyFormat.AUTO] * len(given)) if given else ()
        types, formats = (tuple(known.types or ()), known.formats) if given else ((), ())
        name = self._prepared(words, types)
        if name is None:
            self._pgconn.send_query_params(words, params, types, formats)
        else:
            self._pgconn.send_query_prepared(name, params, formats)
        answer = Answer(known)
        self._unread.append(answer)
        return answer

    def send_behind(self, sql: str, values: Values = None) -> None:
        """Have a statement sent in the last exchange, behind the commit: a transaction of its own,
        whose failure is nobody's.  Nothing may be sent after it."""
        before = len(self._unread)
        self.send(sql, values)
        self._behind = self._unread[before:]
        del self._unread[before:]

    def _prepared(self, words: bytes, types: tuple[int, ...]) -> bytes | None:
        """The name of a statement that is prepared, now perhaps."""
        if self._kept is None:
            return None
        key = words, types
        name = self._kept.name(key)
        if name is None:
            name, last = self._kept.new(key)
            if last is not None:
                self._pgconn.send_query_params(b"DEALLOCATE " + last, ())
                self._unread.append(None)
            if name is not None:
                self._pgconn.send_prepare(name, words, types)
                self._unread.append(None)
        return name

    async def exchange(self, *, last: bool) -> None:
        """Send what is not sent yet, and read all answers.  After the last one nothing is sent any
        more.  Raises the first psycopg.Error.
        """
        if self._ended:
            return
        if last:
            self._pgconn.pipeline_sync()
        else:
            self._pgconn.send_flush_request()
        while self._pgconn.flush():
            await self._ready(writing=True)
        await self._read(self._unread)
        self._unread.clear()
        while self._pgconn.notifies() is not None:
            pass  # of what somebody left behind on a pooler's connection
        if last:
            await self._end()

    async def _end(self) -> None:
        try:
            await self._read(self._behind)
            await self._result()
            self._pgconn.exit_pipeline_mode()
        except Error:
            if not self._behind:
                raise
            self._pgconn.finish()  # what came before it is committed
        self._ended = True

    async def _read(self, answers: Sequence[Answer | None]) -> None:
        for answer in answers:
            result = await self._result()
            while await self._next() is not None:
                pass  # the end of the statement's results
            if answer is not None:
                answer.result = result

    async def _result(self) -> PGresult:
        result = await self._next()
        if result is None:
            raise OperationalError("the server's answer has ended too early")
        if result.status in FAILED:
            raise error_from_result(result, encoding="utf-8")
        return result

    async def _next(self) -> PGresult | None:
        while self._pgconn.is_busy():
            await self._ready()
        return self._pgconn.get_result()

    async def _ready(self, *, writing: bool = False) -> None:
        """Read what has come once something has; where there is more to be written, return once
        that goes."""
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        socket = self._pgconn.socket
        loop.add_reader(socket, _come, waiting, True)
        try:
            if writing:
                loop.add_writer(socket, _come, waiting, False)
            come = await waiting
        finally:
            loop.remove_reader(socket)
            if writing:
                loop.remove_writer(socket)
        if come:
            self._pgconn.consume_input()


def _come(waiting: asyncio.Future[bool], reading: bool) -> None:
    if not waiting.done():
        waiting.set_result(reading)


@lru_cache(maxsize=1_000)
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """A statement as the server takes it, and the names of its parameters in order."""
    names: list[str] = []

    def place(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        name = match[1] or str(len(names))
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return PARAMETER.sub(place, sql).encode(), tuple(names)
