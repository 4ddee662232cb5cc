"""`unlost audit --ledger dynamodb://TABLE`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.aws.emulator import Emulator
from tests.cli.conftest import Command, Result
from tests.conformance.stage import Clock
from tests.ledger.place import Place
from tests.ledger.tables import Table
from unlost.ledger.opening import wall_clock


@pytest.fixture
def table(emulator: Emulator) -> Iterator[Table]:
    with Table(emulator.url) as table:
        yield table


def prepare(table: Table, steps: Callable[[Place], Awaitable[object]]) -> None:
    """Let this happen in the table, and count it."""

    async def run() -> None:
        place = Place(table, Clock(wall_clock()))
        await steps(place)
        await place.ledger.counts()
        await place.ledger.close()

    asyncio.run(run())


def audited(unlost: Command, emulator: Emulator, table: str, *words: str) -> Result:
    names = {name: value for name, value in emulator.environment.items() if name[:4] == "AWS_"}
    with unlost.start("audit", "--ledger", f"dynamodb://{table}", *words, **names) as process:
        out, err = process.communicate(timeout=60)
    return Result(process.returncode, out.decode(), err.decode())


async def a_few(place: Place) -> None:
    await place.submit("a", "b", "c")
    await place.succeed(await place.run("a"))
    await place.die(await place.run("b"))


def test_a_sound_table_passes(unlost: Command, emulator: Emulator, table: Table) -> None:
    prepare(table, a_few)
    found = audited(unlost, emulator, table.name, "--json")
    assert (found.status, found.err) == (0, "")
    seen = json.loads(found.out)
    assert (seen["ok"], seen["accepted"], seen["outstanding"], seen["lost"]) == (True, 3, 1, 0)
    assert seen["states"]["dead"] == seen["states"]["succeeded"] == 1


def test_a_record_that_was_edited_is_named_with_status_1(
    unlost: Command, emulator: Emulator, table: Table
) -> None:
    async def then_an_edit(place: Place) -> None:
        await a_few(place)
        place.edit("c", "spent", {"N": "7"})

    prepare(table, then_an_edit)
    found = audited(unlost, emulator, table.name)
    assert found.status == 1
    assert found.complaint == "unlost: a promise is broken"
    assert "no more attempts than allowed" in found.out


def test_while_it_waits_for_the_counters_it_says_so(
    unlost: Command, emulator: Emulator, table: Table
) -> None:
    async def then_a_loss(place: Place) -> None:
        await a_few(place)
        place.remove("c")

    prepare(table, then_a_loss)
    names = {name: value for name, value in emulator.environment.items() if name[:4] == "AWS_"}
    with unlost.start("audit", "--ledger", f"dynamodb://{table.name}", **names) as process:
        assert process.stderr is not None
        assert b"looking again" in process.stderr.readline()
        process.kill()


def test_a_table_that_is_not_there_is_one_line_and_status_1(
    unlost: Command, emulator: Emulator
) -> None:
    found = audited(unlost, emulator, "nowhere")
    assert found.status == 1
    assert "nowhere" in found.complaint
