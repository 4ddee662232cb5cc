"""What an export is made of."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.conformance.stage import Clock, Stage, submission
from unlost import policy
from unlost.ledger.memory import MemoryLedger
from unlost.moving.document import NotAnExport, Sum, numbered, read_part
from unlost.moving.line import copy_of, line_of
from unlost.moving.reading import pages


async def test_pages_of_big_tasks_are_short() -> None:
    ledger = MemoryLedger(Clock())
    big = f'{{"a":"{"b" * 250_000}"}}'
    await ledger.submit([submission(str(number), big) for number in range(150)])
    sizes = [len(page) async for page in pages(ledger)]
    assert sizes == [9] * 16 + [6]


async def test_a_nul_counts_as_the_symbol_that_postgres_keeps_for_it() -> None:
    ledger = MemoryLedger(Clock())
    stage = Stage(ledger, Clock(), lambda: _same(ledger))
    await stage.bury("a", error=policy.error("E", "x\0y", "t\0"), payload='{"a":"\\u0000"}')
    ((_, copy),) = await ledger.copies(0, 10)
    task = line_of(copy)
    assert task.error is not None
    assert copy_of(task) == copy
    shown = replace(task.error, message="x\u2400y", traceback="t\u2400")
    attempt = replace(task.attempts[0], error=shown)
    plain, kept, other = Sum(), Sum(), Sum()
    plain.add(task)
    kept.add(replace(task, error=shown, attempts=(attempt,)))
    other.add(replace(task, error=replace(shown, message="xy"), attempts=(attempt,)))
    assert plain == kept
    assert plain != other


async def _same(ledger: MemoryLedger) -> MemoryLedger:
    return ledger


async def test_positions_may_be_longer_than_integers_of_json() -> None:
    ledger = MemoryLedger(Clock())
    await ledger.submit([submission("a")])
    ((_, copy),) = await ledger.copies(0, 10)
    assert numbered(10**37, copy).position == "1" + "0" * 37


@pytest.mark.parametrize("text", [b"{}", b"[1]", b"\xff", b'{"position":"1"}', b"[" * 100_000])
def test_what_is_no_task_is_refused(text: bytes) -> None:
    with pytest.raises(NotAnExport, match="line 7 is not a task"):
        read_part(text, 7)
