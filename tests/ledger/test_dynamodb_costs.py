"""What each step costs: calls and write units as the emulator counts them, and sizes of items.

The units are those that docs and docstrings state; a change that makes a step dearer shows here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.conformance.stage import BOOM, Clock, Stage, must_add_up, submission
from tests.ledger.dynamodb_steps import KINDS, LARGE, Told, by_id, never
from tests.ledger.faulty import WRITES
from tests.ledger.tables import Table
from unlost import policy
from unlost.ledger.values import Claimed
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change
from unlost.policy import Limits
from unlost.task import MAX_RETRIES

MOST_BYTES = 400 * 1024


class Metered:
    """A client that notes each call, with the write units that DynamoDB says it took."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self.writes: list[tuple[str, float]] = []
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name in WRITES:
            return partial(self._write, name, method)
        return partial(self._read, method) if callable(method) else method

    def _read(self, method: Callable[..., Any], **arguments: Any) -> Any:
        with self._lock:
            self.reads += 1
        return method(**arguments)

    def _write(self, name: str, method: Callable[..., Any], **arguments: Any) -> Any:
        answer = method(**arguments, ReturnConsumedCapacity="INDEXES")
        told = answer["ConsumedCapacity"]
        units = sum(one["CapacityUnits"] for one in (told if isinstance(told, list) else [told]))
        with self._lock:
            self.writes.append((WRITES[name], units))
        return answer


COSTS = {
    "submit": [("PutItem", 3.0), ("PutItem", 3.0)],
    "enlist": [("PutItem", 1.0)],
    "extend": [("UpdateItem", 1.0)],
    "dismiss": [("DeleteItem", 1.0)],
    "pull": [("TransactWriteItems", 4.0), ("UpdateItem", 3.0), ("UpdateItem", 3.0)],
    "pull again": [("UpdateItem", 1.0)],
    "pull nothing": [("PutItem", 1.0)],
    "prolong": [("UpdateItem", 1.0)],
    "claim by id": [("UpdateItem", 1.0)],
    "claim by id within limits": [("TransactWriteItems", 6.0)],
    "succeed within limits, with a task that follows": [("TransactWriteItems", 23.0)],
    "claim": [("UpdateItem", 3.0), ("UpdateItem", 3.0)],
    "record a step": [("TransactWriteItems", 4.0)],
    "cancel what waits": [("TransactWriteItems", 5.0)],
    "redrive": [("TransactWriteItems", 6.0)],
    "discard": [("TransactWriteItems", 5.0)],
    "claim a report by id": [("UpdateItem", 3.0)],
    "hint what is overdue": [("UpdateItem", 3.0), ("UpdateItem", 3.0)],
    "announce deaths again": [("UpdateItem", 3.0)] * 3,
    "ping": [("PutItem", 1.0)],
}


@pytest.mark.parametrize(("name", "expected"), COSTS.items(), ids=COSTS)
async def test_a_step_costs_what_is_said(
    table: Table, name: str, expected: list[tuple[str, float]]
) -> None:
    clock, kind = Clock(), KINDS[name]
    stage = Stage(table.ledger(clock, announce=Told()), clock, never)
    await stage.ledger.ping()
    needed = await kind.before(stage)
    client = Metered(table.client)
    ledger = table.ledger(clock, announce=Told(), client=client)
    await ledger.open()
    client.writes.clear()
    await kind.step(ledger, needed)
    assert client.writes == expected
    await stage.ledger.close()
    await ledger.close()


async def test_a_successful_small_task_takes_three_writes_of_single_items(table: Table) -> None:
    client = Metered(table.client)
    ledger = table.ledger(Clock(), client=client)
    stage = Stage(ledger, Clock(), never)
    await ledger.open()
    client.writes.clear()
    client.reads = 0
    await stage.submit("a", payload='{"simulate": {"outcome": "succeed"}}')
    attempt = await by_id(ledger, "a")
    assert await stage.succeed(attempt, '"done"')
    assert client.writes == [("PutItem", 3.0), ("UpdateItem", 1.0), ("UpdateItem", 2.0)]
    assert client.reads == 3  # one is of the pauses, which are then known for 5 s
    await ledger.close()


async def test_what_is_set_for_types_is_read_once_in_seconds_whatever_is_submitted(
    table: Table,
) -> None:
    """For whoever tells a queue: nobody is told of tasks whose type is marked `pull`."""
    client, clock = Metered(table.client), Clock()
    ledger = table.ledger(clock, client=client, announce=Told())
    stage = Stage(ledger, clock, never)
    await ledger.open()
    client.reads = 0
    for number in range(50):
        await stage.submit(f"a{number}", f"b{number}")
        clock.advance(0.09)
    assert client.reads == 1
    clock.advance(1)
    await stage.submit("later")
    assert client.reads == 2
    await ledger.close()


@pytest.mark.parametrize(
    ("change", "claim", "end"),
    [
        (Change(), 1.0, [2.0]),
        (Change(limit=9), 4.0, [5.0]),
        (Change(limit=9, key_limit=9), 6.0, [7.0]),
        (Change(breaker=Breaker()), 1.0, [2.0, 1.0]),
    ],
    ids=["nothing", "limit", "limits", "breaker"],
)
async def test_what_is_set_for_a_type_costs_its_own_attempts_and_no_others(
    table: Table, change: Change, claim: float, end: list[float]
) -> None:
    client = Metered(table.client)
    ledger = table.ledger(Clock(), client=client)
    await ledger.change("mail", change)
    stage = Stage(ledger, Clock(), never)
    for name, expected in (("mail", [claim, *end]), ("other", [1.0, 2.0])):
        await stage.submit(name, type=name, key="ann")
        client.writes.clear()
        assert await stage.succeed(await by_id(ledger, name))
        assert [units for _, units in client.writes] == expected
    await ledger.close()


async def test_a_retry_and_a_death_take_one_transaction_each(table: Table) -> None:
    client, clock = Metered(table.client), Clock()
    ledger = table.ledger(clock, client=client)
    stage = Stage(ledger, clock, never)
    await stage.submit("a")
    attempt = await by_id(ledger, "a")
    client.writes.clear()
    await stage.retry(attempt, wait=1, error=BOOM)
    assert client.writes == [("TransactWriteItems", 6.0)]
    clock.advance(1)
    attempt = await by_id(ledger, "a")
    client.writes.clear()
    await stage.die(attempt, BOOM)
    assert client.writes == [("TransactWriteItems", 9.0)]
    await ledger.close()


def size(value: Any) -> int:
    """The bytes of a stored value, never less than DynamoDB counts."""
    if isinstance(value, dict):
        return 3 + sum(len(name.encode()) + size(one) for name, one in value.items())
    if isinstance(value, list):
        return 3 + sum(map(size, value))
    return len(value if isinstance(value, bytes) else str(value).encode()) + 1


async def test_the_largest_task_there_can_be_is_kept_whole_in_items_that_dynamodb_takes(
    table: Table,
) -> None:
    clock = Clock()
    ledger = table.ledger(clock)
    stage = Stage(ledger, clock, never)
    payload = '{"n":"' + "é" * (128 * 1024 - 4) + '"}'
    assert len(payload.encode()) == 256 * 1024
    result = '"' + "é" * (32 * 1024 - 1) + '"'
    worst = policy.error("E" * 300, "é" * 9000, "T" * 20_000)
    task_id = "😀" * 255
    new = submission(
        task_id, payload, type="é" * 100, max_retries=MAX_RETRIES, timeout=884.9999999999999
    )
    await ledger.submit([new])
    for number in range(MAX_RETRIES):
        attempt = await by_id(ledger, task_id)
        assert isinstance(attempt, Claimed)
        assert (attempt.number, attempt.payload) == (number + 1, payload)
        assert await stage.retry(attempt, error=worst)
    await stage.die(await by_id(ledger, task_id), worst)
    await ledger.redrive(task_id, "é" * 200, "é" * 4000, payload)
    assert await stage.succeed(await by_id(ledger, task_id), result)
    record = await stage.record(task_id)
    assert (record.payload, record.result) == (payload, result)
    assert [attempt.error for attempt in record.attempts[:-1]] == [worst] * (MAX_RETRIES + 1)
    sizes = {item["sk"]["S"]: size(item) for item in table.items()}
    assert max(sizes.values()) < MOST_BYTES
    assert sizes["task"] < 16 * 1024
    await must_add_up(ledger)
    await ledger.close()


async def test_a_claim_by_id_and_its_limits_leave_the_indexes_alone(table: Table) -> None:
    client = Metered(table.client)
    ledger = table.ledger(Clock(), client=client)
    await ledger.submit([submission("a", LARGE)])
    client.writes.clear()
    await ledger.claim_task(
        "a",
        token="t" * 64,
        worker="w" * 64,
        limits={"default": Limits(7, 3.5)},
        defaults=Limits(2, 60.0),
        lease=1,
    )
    assert client.writes == [("UpdateItem", 1.0)]
    await ledger.close()
