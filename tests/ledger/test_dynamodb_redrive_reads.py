"""What steps and purges of redrives read: no more than they have to."""

from __future__ import annotations

from typing import Any

from tests.conformance.stage import Clock, Stage
from tests.ledger.dynamodb_steps import never
from tests.ledger.rough import Lagging
from tests.ledger.tables import Table
from unlost.redrive import Named, Redrive, RedriveState


class Reading:
    """A client that counts the items that are asked for in batches."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.items = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name != "batch_get_item":
            return method

        def read(**arguments: Any) -> Any:
            self.items += sum(len(one["Keys"]) for one in arguments["RequestItems"].values())
            return method(**arguments)

        return read


async def test_named_letters_are_all_read_once_a_step(table: Table) -> None:
    client = Reading(table.client)
    stage = Stage(table.ledger(clock := Clock(), client=client), clock, never)
    names = [f"t{number:02}" for number in range(65)]
    for name in names:
        await stage.bury(name)
    await stage.ledger.add_redrive(Redrive("one", canary=0), Named(tuple(names)))
    client.items = 0
    redrive = await stage.ledger.step_redrive("one")
    assert (redrive.selected, redrive.redriven) == (65, 65)
    assert client.items <= 65 * 3 + 10  # all of them, as they are counted, and as they are taken
    await stage.ledger.close()


async def test_a_purge_reads_no_redrive_that_began_later(table: Table) -> None:
    client = Reading(table.client)
    ledger = table.ledger(clock := Clock(), client=client)
    began = clock.now
    for name in ("one", "two", "three"):
        await ledger.add_redrive(Redrive(name), Named())
        assert (await ledger.step_redrive(name)).state is RedriveState.DONE
        clock.advance(1)
    client.items = 0
    assert await ledger.purge_redrives(began, 10) == 0
    assert client.items == 0
    assert await ledger.purge_redrives(began + 1, 10) == 1
    assert client.items == 1
    await ledger.close()


async def test_what_others_took_is_not_left_after_a_stop_though_the_index_lags(
    table: Table,
) -> None:
    index = Lagging(table.client)
    stage = Stage(table.ledger(clock := Clock(), client=index), clock, never)
    for name in ("a", "b", "c"):
        await stage.bury(name)
    index.stop()
    for name, gone in (("one", 0), ("two", 1)):
        await stage.ledger.add_redrive(Redrive(name), Named())
        await stage.ledger.stop_redrive(name, "stopped")
        redrive = await stage.ledger.step_redrive(name)
        assert (redrive.selected, redrive.gone, redrive.left) == (3, gone, 3 - gone)
        await stage.ledger.discard("b" if name == "one" else "c", None, None)
    await stage.ledger.close()
