"""Those who write much stand in a line, of which one at a time asks for the lock, lets others go
first and takes less while they wait: a submit waits for one of them at most, whatever waits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.stage import Clock, Stage, submission
from unlost import redrive
from unlost.ledger.opening import wall_clock
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.attempts import settling
from unlost.ledger.sqlite.connection import writer
from unlost.ledger.sqlite.connection.pressing import BESIDE, FEW, PRESSED, REST
from unlost.ledger.sqlite.connection.pressing import LITTLE as LITTLE_ITEMS
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.dead_letters import stepping
from unlost.ledger.sqlite.files import lock
from unlost.ledger.sqlite.files.identity import LOCK
from unlost.ledger.sqlite.files.lock import HURRY, LINE, LITTLE, OPEN, TIMES, WRITING
from unlost.ledger.sqlite.parts.redrives import REDRIVE_AT_ONCE
from unlost.ledger.values import Claim, Claimed, Settled, Settlement, Worker
from unlost.policy import Limits
from unlost.redrive import Named, Redrive
from unlost.task import SECOND, Event, Outcome, Submission

HOLDING = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    how = fcntl.LOCK_SH if sys.argv[3] == "shared" else fcntl.LOCK_EX
    fcntl.lockf(file, how, 1, int(sys.argv[2]))
    print("held", flush=True)
    for line in sys.stdin:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(line))
            fcntl.lockf(file, fcntl.LOCK_UN, 1, int(line))
            print("free", flush=True)
        except OSError:
            print("taken", flush=True)
"""

LONG, SHORT = 30.0, 0.2

Asking = Callable[[int], bool]
"""Whether another byte is free, for the process that holds one."""


def succeeded(claimed: list[Claimed]) -> list[Settlement]:
    return [Settlement(one.task_id, one.token, Outcome.SUCCEEDED, Event.SUCCEED) for one in claimed]


@contextmanager
def held(database: Path, byte: int, how: str = "alone") -> Iterator[Asking]:
    """Another process holds this byte of the lock file."""
    command = [sys.executable, "-c", HOLDING, f"{database}{LOCK}", str(byte), how]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        told, asked = other.stdout, other.stdin

        def free(byte: int) -> bool:
            asked.write(f"{byte}\n")
            asked.flush()
            return told.readline() == "free\n"

        yield free
        other.communicate()


async def test_a_submit_does_not_stand_in_the_line_in_which_claims_wait(tmp_path: Path) -> None:
    database = tmp_path / "ledger.db"
    claims, submits = (SqliteLedger(database, wall_clock) for _ in range(2))
    await claims.enlist(Worker("w"), 60 * SECOND)
    for turn in range(2):  # whoever was in the line has left it
        with held(database, LINE):
            claiming = asyncio.ensure_future(
                claims.claim(Claim("w", [f"{turn:024}"], None, Limits(2, 300.0)))
            )
            await asyncio.wait([claiming], timeout=SHORT)
            assert not claiming.done()
            async with asyncio.timeout(LONG):
                await submits.submit([Submission(f"t{turn}", "{}", b"x" * 32)])
            assert not claiming.done()
        async with asyncio.timeout(LONG):
            assert [one.task_id for one in await claiming] == [f"t{turn}"]
    await claims.close()
    await submits.close()


async def test_a_submit_that_waits_says_so_until_it_writes(tmp_path: Path) -> None:
    database = tmp_path / "ledger.db"
    ledger = SqliteLedger(database, wall_clock)
    with held(database, WRITING) as free:
        submitting = asyncio.ensure_future(ledger.submit([Submission("t", "{}", b"x" * 32)]))
        async with asyncio.timeout(LONG):
            while free(HURRY):  # noqa: ASYNC110 - another process is asked
                await asyncio.sleep(0)
        assert not submitting.done()
    async with asyncio.timeout(LONG):
        await submitting
    with held(database, LINE) as free:
        assert free(HURRY)
    await ledger.close()


async def test_who_writes_much_lets_others_go_first_but_waits_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "ledger.db"
    ledger = SqliteLedger(database, wall_clock)
    with held(database, HURRY, "shared") as free:
        gave_way: list[bool] = []
        monkeypatch.setattr(lock, "sleep", lambda _: gave_way.append(free(WRITING)))
        async with asyncio.timeout(LONG):
            await ledger._do(lambda _: None, patient=True)
            assert gave_way == [True] * TIMES
            await ledger.submit([Submission("t", "{}", b"x" * 32)])
    await ledger._do(lambda _: None, patient=True)
    assert gave_way == [True] * TIMES
    await ledger.close()


@pytest.mark.parametrize("hurry", [False, True])
async def test_a_large_transaction_takes_no_further_steps_while_others_wait(
    tmp_path: Path, hurry: bool
) -> None:
    database = tmp_path / "ledger.db"
    ledger = SqliteLedger(database, wall_clock)
    seen: list[Transaction] = []

    def begun() -> asyncio.Future[None]:
        return asyncio.ensure_future(ledger._writer.do(seen.append, patient=True))

    with held(database, HURRY if hurry else OPEN, "shared"):
        with held(database, WRITING):
            first = begun()
            await asyncio.sleep(0)
            while not ledger._writer._come.empty():  # noqa: ASYNC110 - a thread takes it
                await asyncio.sleep(0)
            others = [begun() for _ in range(3)]
            await asyncio.sleep(0)
        async with asyncio.timeout(LONG):
            await asyncio.gather(first, *others)
    assert len({id(one) for one in seen}) == (4 if hurry else 2)
    await ledger.close()


async def test_transactions_are_small_while_small_ones_of_others_wait_and_a_little_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "ledger.db"
    ledger = SqliteLedger(database, wall_clock)
    now = 1_000.0
    monkeypatch.setattr(writer, "monotonic", lambda: now)
    ended: list[int] = []
    settle = settling.settle

    def counted(transaction: Transaction, settlements: Sequence[Settlement]) -> list[Settled]:
        ended.append(len(settlements))
        return settle(transaction, settlements)

    monkeypatch.setattr(settling, "settle", counted)
    taken: list[int] = []

    def step(_: Any, *, redrive_id: str, most: int, waited_for: Any) -> Redrive:
        taken.append(most)
        return Redrive(redrive_id)

    monkeypatch.setattr(stepping, "step", step)
    await ledger.enlist(Worker("w"), 60 * SECOND)
    every = 10 * BESIDE
    await ledger.submit([Submission(f"t{n}", "{}", b"x" * 32) for n in range(every)])

    async def claim(turn: int) -> list[Claimed]:
        tokens = [f"{turn}:{n}" for n in range(200)]
        return await ledger.claim(Claim("w", tokens, None, Limits(2, 300.0)))

    whole = await claim(0)
    with held(database, LITTLE, "shared"):
        await ledger.step_redrive("r")
        some = await claim(1)
        await ledger.step_redrive("r")
    assert (len(whole), len(some), taken) == (200, BESIDE, [REDRIVE_AT_ONCE, BESIDE])
    now += PRESSED / 2
    assert all(await ledger.settle(succeeded(whole)))
    assert ended == [BESIDE] * (200 // BESIDE)
    now += PRESSED
    await ledger.step_redrive("r")
    assert (len(await claim(2)), taken[2:]) == (200, [REDRIVE_AT_ONCE])
    assert all(await ledger.settle(succeeded(some)))
    await ledger.close()


@pytest.mark.parametrize("tasks", [FEW, FEW + 1])
async def test_meanwhile_the_first_in_the_line_leaves_the_lock_alone_after_many_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tasks: int
) -> None:
    database = tmp_path / "ledger.db"
    ledger = SqliteLedger(database, wall_clock)
    looks = count()
    monkeypatch.setattr(writer, "monotonic", lambda: 1_000 + next(looks) / 10_000)
    rests: list[float] = []
    await ledger.enlist(Worker("w"), 60 * SECOND)
    await ledger.submit([Submission(f"t{n}", "{}", b"x" * 32) for n in range(tasks)])
    claim = Claim("w", [f"{n}" for n in range(tasks)], None, Limits(2, 300.0))
    with held(database, LITTLE, "shared"):
        claimed = await ledger.claim(claim)
    with held(database, OPEN, "shared") as free:

        def rest(seconds: float) -> None:
            assert not free(LINE)
            assert free(WRITING)
            rests.append(seconds)

        monkeypatch.setattr(lock, "sleep", rest)
        assert all(await ledger.settle(succeeded(claimed)))
        assert [0 < one <= REST for one in rests] == [True] * (tasks > FEW)
    await ledger.close()


@pytest.mark.parametrize("items", [1, LITTLE_ITEMS + 1])
async def test_large_ones_do_not_become_small_for_a_large_one(tmp_path: Path, items: int) -> None:
    database = tmp_path / "ledger.db"
    ledger = SqliteLedger(database, wall_clock)
    with held(database, WRITING) as free:
        submits = [Submission(f"t{n}", "{}", b"x" * 32) for n in range(items)]
        submitting = asyncio.ensure_future(ledger.submit(submits))
        async with asyncio.timeout(LONG):
            while free(HURRY):  # noqa: ASYNC110 - another process is asked
                await asyncio.sleep(0)
        assert free(LITTLE) is (items > LITTLE_ITEMS)
    async with asyncio.timeout(LONG):
        await submitting
    await ledger.close()


@pytest.mark.parametrize(("hurry", "counted"), [(False, 20), (True, 2)])
async def test_a_redrive_counts_in_few_commits_unless_others_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hurry: bool, counted: int
) -> None:
    monkeypatch.setattr(redrive, "LOOK", 2)
    database = tmp_path / "ledger.db"
    ledger = SqliteLedger(database, Clock())

    async def same() -> SqliteLedger:
        return ledger

    stage = Stage(ledger, Clock(), same)
    for number in range(25):
        await stage.bury(f"t{number}")
    await ledger.add_redrive(Redrive("r", canary=0), Named())
    with held(database, HURRY if hurry else OPEN, "shared"):
        begun = await ledger.step_redrive("r")
    assert (begun.counted, begun.selected) == (counted, None)
    while begun.selected is None:
        begun = await ledger.step_redrive("r")
    assert (begun.selected, begun.redriven) == (25, 0)
    await ledger.close()


async def test_a_step_sees_who_waits_behind_it_in_its_own_transaction(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db", wall_clock)
    held, may = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        held.set()
        assert may.wait(10)

    waited = ledger._writer.waited_for
    holding = asyncio.ensure_future(ledger._do(hold))
    await asyncio.to_thread(held.wait)
    step = asyncio.ensure_future(ledger._do(lambda _: waited(), patient=True))
    submit = asyncio.ensure_future(ledger.submit([submission("a")]))
    await asyncio.sleep(0)
    may.set()
    await asyncio.gather(holding, submit)
    assert await step
    assert not await ledger._do(lambda _: waited(), patient=True)
    await ledger.close()
