"""`unlost api` that notes when each submit got how far: `python -m bench.profile.served PORT FILE`.

The notes go to FILE.notes at its end: a line of JSON a submit, its stages in nanoseconds.  A note
costs some 0.2 µs.  What is wrapped is private: a test sees that every stage is still met.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import sys
from contextvars import ContextVar
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final

import msgspec
import uvloop

from unlost.api import frame, server
from unlost.api.app import create_app
from unlost.api.calls.submitting.promptly import Promptly
from unlost.api.http.again import KnowingConnection
from unlost.ledger.opening import open_ledger
from unlost.ledger.sqlite.connection import writer
from unlost.ledger.sqlite.connection.joining import Answer, Waiting
from unlost.ledger.sqlite.files.identity import Files
from unlost.settings import Settings

Notes = dict[str, int]

STAGES: Final = {
    "called": "the request is found to have a known head",
    "read": "the body is read, checked and digested",
    "put": "it is handed to the writer",
    "taken": "the writer's thread has it (and had committed what came before)",
    "locked": "the lock on the file",
    "begun": "BEGIN, and who listens",
    "stepped": "the step: its rows",
    "tallied": "the counters",
    "committed": "COMMIT: the log is written and synced",
    "looked": "the files are still there (for more than one, the lock is given back before)",
    "resumed": "its answer's turn: at once for one alone, else in the event loop",
    "rendered": "the answer is made",
    "answered": "and written to the socket",
}
"""The end of each stage, in order, after "came": the bytes are there."""

_request: ContextVar[Notes | None] = ContextVar("request", default=None)
_by_future: dict[int, Notes] = {}
_commit: Notes = {}
_done: list[Notes] = []


def note(name: str) -> None:
    """Note a stage of the request that is under way in this context."""
    if (notes := _request.get()) is not None:
        notes[name] = perf_counter_ns()


def around(owner: Any, name: str, before: str | None, after: str | None) -> None:
    """Note stages of a request before and after a function."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def noted(*given: Any, **named: Any) -> Any:
        if before:
            note(before)
        answer = real(*given, **named)
        if after:
            note(after)
        return answer

    setattr(owner, name, noted)


def of_commit(owner: Any, name: str, after: str) -> None:
    """Note a stage of the commit that is under way."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def noted(*given: Any, **named: Any) -> Any:
        answer = real(*given, **named)
        _commit[after] = perf_counter_ns()
        return answer

    setattr(owner, name, noted)


class _Noted:
    """A connection to the file that notes the ends of a transaction."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == "BEGIN IMMEDIATE":
            _commit["locked"] = perf_counter_ns()
        elif sql == "COMMIT":
            _commit["tallied"] = perf_counter_ns()
        answer = self._db.execute(sql, *values)
        if sql == "COMMIT":
            _commit["committed"] = perf_counter_ns()
        return answer


def wrap() -> None:
    """Note all stages from now on."""
    came(KnowingConnection)
    around(frame.Frame, "read", "called", "read")
    commits(writer)
    answers(Promptly)


def came(connection: type[KnowingConnection]) -> None:
    """Note where a request begins."""
    begin = connection.data_received

    def data_received(self: KnowingConnection, data: bytes) -> None:
        _request.set({"came": perf_counter_ns()})
        begin(self, data)

    connection.data_received = data_received  # type: ignore[method-assign]


def answers(promptly: type[Promptly]) -> None:
    """Note where an answer is made, and sent."""
    outcome, at_once, tell = promptly._outcome, promptly.at_once, promptly._tell

    def noted_outcome(self: Promptly, stored: Any) -> Any:
        notes = _by_future.get(id(self), {})
        notes["resumed"] = perf_counter_ns()
        made = outcome(self, stored)
        notes["rendered"] = perf_counter_ns()
        return made

    def noted_at_once(self: Promptly, stored: Any) -> bool:
        enough = at_once(self, stored)
        if enough:
            _answered(self)
        return enough

    def noted_tell(self: Promptly, told: Any, at: float) -> None:
        tell(self, told, at)
        _answered(self)

    promptly._outcome = noted_outcome  # type: ignore[method-assign]
    promptly.at_once = noted_at_once  # type: ignore[method-assign]
    promptly._tell = noted_tell  # type: ignore[assignment,method-assign]


def _answered(awaiting: Promptly) -> None:
    if (notes := _by_future.pop(id(awaiting), None)) is not None:
        if "taken" not in notes:  # one alone is answered within its commit
            notes.update(_commit)
        notes["answered"] = perf_counter_ns()
        _done.append(notes)


def commits(module: Any) -> None:
    """Note the stages of a commit, and give them to the requests in it."""
    put, commit = module.Writer._put, module.Writer._commit

    def noted_put(self: Any, waiting: Waiting) -> None:
        notes = _request.get()
        if notes is not None and isinstance(waiting.future, Promptly):
            _by_future[id(waiting.future)] = notes
            notes["put"] = perf_counter_ns()
        put(self, waiting)

    def noted_commit(self: Any, waiting: Any) -> list[Answer]:
        if not isinstance(self._db, _Noted):
            self._db = _Noted(self._db)
        _commit.clear()
        _commit["taken"] = perf_counter_ns()
        _commit["together"] = len(waiting)
        answers: list[Answer] = commit(self, waiting)
        for answer in answers:
            if (notes := _by_future.get(id(answer.future))) is not None:
                notes.update(_commit)
        return answers

    module.Writer._put, module.Writer._commit = noted_put, noted_commit
    of_commit(module.Transaction, "__init__", "begun")
    of_commit(module.Writer, "_take", "stepped")
    of_commit(Files, "check", "looked")


async def serve(port: int, file: Path) -> None:
    """Serve until SIGTERM, then write the notes."""
    ledger = await open_ledger(f"sqlite:///{file}")
    listener = socket.create_server(("127.0.0.1", port))
    ready = functools.partial(print, "listening on", port, file=sys.stderr, flush=True)
    await server.serve(create_app(ledger, Settings()), listener, ready)
    await ledger.close()
    whole = [notes for notes in _done if notes.keys() >= STAGES.keys()]
    Path(f"{file}.notes").write_bytes(b"\n".join(map(msgspec.json.encode, whole)))


if __name__ == "__main__":
    wrap()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
