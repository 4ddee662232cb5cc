"""The log: whole lines of JSON, whatever is logged or printed, and never a blocked caller."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from unlost.telemetry import logs
from unlost.telemetry.logs import WAITING_LINES, Log, Writer
from unlost.worker.running.output import PIECE, Lines, Printed


class Pipe:
    """A pipe whose reader collects lines until it is closed."""

    def __init__(self) -> None:
        self.outlet, self.inlet = os.pipe()

    def read(self) -> list[Any]:
        """All lines, once every writer has closed its end."""
        os.close(self.inlet)
        with os.fdopen(self.outlet, "rb") as reader:
            return [json.loads(line) for line in reader.read().splitlines()]


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    root.handlers[:] = before


@pytest.mark.usefixtures("untouched_logging")
def test_a_record_is_one_line_with_its_members(pipe: Pipe) -> None:
    writer = Writer(pipe.inlet)
    logs.setup(writer, role="worker")
    Log("unlost.x").info("thing.happened", extra={"taskId": "t", "n": 3})
    logging.getLogger("library").warning("50 %% of %s", "it")
    Log("unlost.x").debug("never")
    writer.close()
    first, second = pipe.read()
    assert first.pop("at").endswith("Z")
    assert first == {
        "level": "info", "event": "thing.happened", "role": "worker", "taskId": "t", "n": 3,
    }  # fmt: skip
    assert second["event"] == "log"
    assert (second["logger"], second["message"]) == ("library", "50 % of it")


@pytest.mark.usefixtures("untouched_logging")
def test_an_exception_and_what_json_cannot_hold_are_logged_as_text(pipe: Pipe) -> None:
    writer = Writer(pipe.inlet)
    logs.setup(writer)
    log = Log("unlost.x")
    try:
        raise ValueError("no\nway")
    except ValueError:
        log.exception("thing.failed")
    log.info("odd", extra={"what": {1, 2}, "text": "\ud800", "bytes": b"\xff", "nan": float("nan")})
    writer.close()
    failed, odd = pipe.read()
    assert (failed["error"]["type"], failed["error"]["message"]) == ("ValueError", "no\nway")
    assert "raise ValueError" in failed["error"]["traceback"]
    assert "odd" in odd["event"]


@pytest.mark.parametrize("mark", ["\x1e", "\x85", "\u2028", "\u2029"])
def test_a_line_is_one_for_every_reader_whatever_is_in_it(mark: str) -> None:
    payload = json.dumps({"a": mark}, ensure_ascii=False)
    line = logs.encode({"é": f"a{mark}b", "payload": msgspec.Raw(payload.encode())}).decode()
    assert line.splitlines(keepends=True) == [line]
    assert json.loads(line) == {"é": f"a{mark}b", "payload": {"a": mark}}


def test_when_nobody_reads_callers_are_not_held_up_and_what_is_dropped_is_told(pipe: Pipe) -> None:
    writer = Writer(pipe.inlet)
    line = logs.encode({"text": "x" * 200})
    began = time.monotonic()
    for _ in range(WAITING_LINES + 5000):
        writer.put(line)
    assert time.monotonic() - began < 5
    closing = threading.Thread(target=writer.close, args=(30,))
    reading = os.fdopen(pipe.outlet, "rb")
    first = json.loads(reading.readline())
    closing.start()
    lines = [json.loads(line) for line in _until_closed(reading, closing, pipe.inlet)]
    told = [line for line in lines if line.get("event") == "log.dropped"]
    assert first == {"text": "x" * 200}
    assert sum(line["lines"] for line in told) + len(lines) - len(told) + 1 == WAITING_LINES + 5000


def _until_closed(reader: Any, closing: threading.Thread, inlet: int) -> list[bytes]:
    def close() -> None:
        closing.join()
        os.close(inlet)

    threading.Thread(target=close).start()
    with reader:
        return list(reader)


async def test_a_line_that_was_written_is_out_of_the_process(pipe: Pipe) -> None:
    writer = Writer(pipe.inlet)
    await writer.write(b'{"a":1}\n')
    assert os.read(pipe.outlet, 100) == b'{"a":1}\n'
    os.close(pipe.outlet)
    with pytest.raises(BrokenPipeError):
        await writer.write(b'{"a":2}\n')
    writer.close()
    os.close(pipe.inlet)


async def test_a_descriptor_that_does_not_block_gets_whole_lines_too(pipe: Pipe) -> None:
    os.set_blocking(pipe.inlet, False)
    writer = Writer(pipe.inlet)
    line = logs.encode({"text": "x" * 300_000})
    writing = asyncio.create_task(writer.write(line))
    got = b""
    while len(got) < len(line):
        got += await asyncio.to_thread(os.read, pipe.outlet, 1 << 16)
    await writing
    assert got == line
    writer.close()
    os.close(pipe.inlet)
    os.close(pipe.outlet)


def test_people_get_a_line_that_they_can_read() -> None:
    line = (
        b'{"at":"2026-01-31T12:00:01.234Z","level":"warning","event":"x.y","a":"b c","n":[1,2]}\n'
    )
    assert logs.human(line) == b'12:00:01.234 warning x.y a="b c" n=[1,2]\n'


def test_lines_are_cut_out_of_a_stream_however_it_arrives() -> None:
    text = b"one\n\nthree\xc3\xa4\nrest"
    for step in range(1, len(text)):
        lines = Lines()
        found = [line for n in range(0, len(text), step) for line in lines.feed(text[n : n + step])]
        assert found == [b"one", b"", b"three\xc3\xa4"]
        assert lines.rest() == [b"rest"]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_long_line_comes_in_pieces_that_cut_no_character(end: bytes) -> None:
    text = ("ä€𝄞" * 20_000).encode()
    lines = Lines()
    found = [line for n in range(0, len(text), 4096) for line in lines.feed(text[n : n + 4096])]
    found += lines.feed(end) + lines.rest()
    assert b"".join(found) == text
    assert all(len(line) <= PIECE for line in found)
    assert "".join(line.decode() for line in found) == text.decode()


def told() -> tuple[Printed, list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    def tell(text: bytes, **members: object) -> None:
        seen.append((text.decode(), members.get("taskId", logs.current_task.get())))

    return Printed("stdout", io.FileIO(2, "w", closefd=False), tell), seen


async def test_prints_of_tasks_that_run_at_once_are_not_mixed() -> None:
    printed, seen = told()

    async def handler(name: str) -> None:
        logs.current_task.set(name)
        for word in ("one", "two"):
            print(name, word, sep="-", end=" ", file=printed)
            await asyncio.sleep(0)
        print(file=printed)

    await asyncio.gather(handler("a"), handler("b"))
    assert sorted(seen) == [("a-one a-two ", "a"), ("b-one b-two ", "b")]


def test_an_unfinished_line_is_logged_once_it_stops_growing() -> None:
    printed, seen = told()
    logs.current_task.set("t")
    print("half", end="", file=printed)
    printed.log_stale()
    print(" done", end="", file=printed)
    printed.log_stale()
    assert seen == []
    printed.log_stale()
    assert seen == [("half done", "t")]
    logs.current_task.set(None)


def test_nothing_is_kept_of_tasks_that_have_printed_whole_lines() -> None:
    printed, seen = told()
    for number in range(100):
        logs.current_task.set(str(number))
        print("a line", file=printed)
    logs.current_task.set(None)
    printed.log_stale()
    assert len(seen) == 100
    assert printed._lines == {}


def test_the_last_unfinished_line_is_logged_at_the_end() -> None:
    printed, seen = told()
    print("half", end="", file=printed)
    printed.log_rest()
    assert seen == [("half", None)]


def test_an_event_that_cannot_be_told_stops_nothing() -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("mine")

    logs.send_events(broken)
    Log("unlost.x").warning("thing.happened")


def test_what_a_forked_process_prints_goes_underneath(pipe: Pipe) -> None:
    told: list[bytes] = []
    with io.FileIO(pipe.inlet, "wb", closefd=False) as raw:
        printed = Printed("stdout", raw, lambda text, **_: told.append(text))
        if (child := os.fork()) == 0:
            print('{"a": 1}', file=printed)
            os._exit(0)
        os.waitpid(child, 0)
    assert pipe.read() == [{"a": 1}]
    assert told == []


def test_a_forked_process_writes_no_log(pipe: Pipe) -> None:
    writer = Writer(pipe.inlet)
    if (child := os.fork()) == 0:
        for _ in range(WAITING_LINES + 1):
            writer.put(b"{}\n")
        os._exit(int(writer._dropped or len(writer._waiting)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.close()
    assert pipe.read() == []
