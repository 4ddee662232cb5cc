"""The table: what is opened, what is refused, and what every process agrees on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.aws.emulator import Emulator
from tests.conformance.stage import Clock, Stage, submission
from tests.ledger.dynamodb_steps import never
from tests.ledger.patience import hurried
from tests.ledger.tables import Table, new_client
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.writes import Change, Delete, Put
from unlost.ledger.dynamodb.stored.wire import Item, unwired, wired
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import LedgerUnavailable, NotALedger
from unlost.settings import WrongSetting


@pytest.fixture
def account(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 finds the emulator, as it would find AWS."""
    for name, value in emulator.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


async def test_a_url_opens_the_table_that_it_names(account: None, table: Table) -> None:
    ledger = await open_ledger(f"dynamodb://{table.name}")
    await ledger.submit([submission("a")])
    await ledger.close()
    again = await open_ledger(f"dynamodb://{table.name}", must_exist=True)
    assert await again.get("a") is not None
    await again.close()


@pytest.mark.parametrize("url", ["dynamodb://", "dynamodb:///x", "dynamodb://a b", "dynamodb://ab"])
async def test_a_url_that_names_no_table_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(WrongSetting) as refusal:
        await open_ledger(url)
    assert "\n" not in str(refusal.value)


async def test_a_table_that_is_not_there_is_no_ledger(account: None) -> None:
    with pytest.raises(NotALedger, match="no table missing"):
        await open_ledger("dynamodb://missing")


async def test_a_table_of_somebody_else_is_no_ledger(account: None, table: Table) -> None:
    table.client.create_table(
        TableName="elses",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    with pytest.raises(NotALedger, match="not an unlost ledger"):
        await open_ledger("dynamodb://elses")
    table.client.delete_table(TableName="elses")


async def test_a_table_of_a_newer_version_is_no_ledger(account: None, table: Table) -> None:
    newer = {"pk": "config", "sk": "config", "shards": 2, "version": schema.VERSION + 1}
    table.client.put_item(TableName=table.name, Item=wired(newer))
    with pytest.raises(NotALedger, match="newer version"):
        await open_ledger(f"dynamodb://{table.name}")


async def test_without_a_region_the_setting_is_wrong(
    account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "nowhere")
    with pytest.raises(WrongSetting, match="region"):
        await open_ledger("dynamodb://tasks")


async def test_without_credentials_the_ledger_is_unavailable(
    account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "nowhere")
    with pytest.raises(LedgerUnavailable, match="credentials"):
        await open_ledger("dynamodb://tasks")


async def test_where_nobody_listens_the_ledger_is_unavailable(table: Table) -> None:
    client = new_client("http://127.0.0.1:9", connect_timeout=0.1)
    ledger = table.ledger(Clock(), client=client, retrying=hurried())
    with pytest.raises(LedgerUnavailable):
        await ledger.get("a")
    await ledger.close()
    client.close()


async def test_a_closed_ledger_is_unavailable(table: Table) -> None:
    ledger = table.ledger(Clock())
    await ledger.close()
    with pytest.raises(LedgerUnavailable):
        await ledger.get("a")


async def test_a_table_that_vanishes_makes_the_ledger_unavailable(emulator: Emulator) -> None:
    with Table(emulator.url) as table:
        ledger = table.ledger(Clock())
        await ledger.open()
    with pytest.raises(LedgerUnavailable):
        await ledger.submit([submission("a")])
    await ledger.close()


async def test_all_agree_on_the_shards_that_the_first_decided(table: Table) -> None:
    all_calls = [Calls(table.name, table.client, shards=number) for number in (3, 5, 7, 9)]
    shards = await asyncio.gather(*(calls.shards() for calls in all_calls))
    assert len(set(shards)) == 1
    assert await Calls(table.name, table.client, shards=8).shards() == shards[0]
    for calls in all_calls:
        calls.close()


def test_tasks_are_spread_evenly_over_the_shards() -> None:
    spread = Counter(schema.shard(f"task-{number}", 8) for number in range(8000))
    assert set(spread) == set(schema.shard_names(8))
    assert all(900 < number < 1100 for number in spread.values())


@pytest.mark.parametrize("shards", [0, 101, -1])
def test_a_number_of_shards_that_keys_cannot_order_is_refused(shards: int) -> None:
    with pytest.raises(ValueError, match="shards"):
        Calls("tasks", object(), shards=shards)


@pytest.fixture
def calls(table: Table) -> Iterator[Calls]:
    calls = Calls(table.name, table.client)
    yield calls
    calls.close()


async def test_a_change_is_made_only_to_the_version_that_was_read(calls: Calls) -> None:
    await calls.write(Put({"pk": "p", "sk": "s", "n": 1, "gone": "x"}, only_new=True))
    old = await calls.get(("p", "s"))
    assert old is not None
    await calls.write(Change(old, {**old, "n": 2, "gone": None, "name": ""}))
    new = await calls.get(("p", "s"))
    assert new == {"pk": "p", "sk": "s", "n": 2, "name": "", "op": new["op"]} if new else False
    for stale in (Change(old, {**old, "n": 3}), Delete(("p", "s"), old["op"])):
        with pytest.raises(Clash) as clash:
            await calls.write(stale)
        assert clash.value.item == new


async def test_of_writes_together_all_are_made_or_none(calls: Calls) -> None:
    await calls.write(Put({"pk": "p", "sk": "1"}, only_new=True))
    with pytest.raises(Clash) as clash:
        await calls.write_together(
            [Put({"pk": "p", "sk": "2"}), Put({"pk": "p", "sk": "1", "n": 1}, only_new=True)]
        )
    assert clash.value.index == 1
    assert clash.value.item is not None
    assert [item["sk"] for item in (await calls.page("p"))[0]] == ["1"]


async def test_any_number_of_items_is_read_and_removed(calls: Calls) -> None:
    keys = [("p", f"{number:03}") for number in range(230)]
    await together(calls.write(Put({"pk": pk, "sk": sk})) for pk, sk in keys)
    assert set(await calls.get_many([*keys, ("p", "no such"), *keys[:9]])) == set(keys)
    await calls.delete_many([*keys[:120], *keys[:9]])
    assert set(await calls.get_many(keys)) == set(keys[120:])


async def test_a_partition_is_walked_over_all_its_pages(calls: Calls) -> None:
    big = "x" * 300_000
    await together(
        calls.write(Put({"pk": "p", "sk": f"{number:02}", "big": big})) for number in range(12)
    )
    pages = [items async for items in calls.walk("p", low="01", high="09")]
    assert len(pages) > 1
    found = [item["sk"] for items in pages for item in items]
    assert found == [f"{number:02}" for number in range(1, 10)]
    assert await calls.page("p", low="2", high="1") == ([], None)


plain = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers(-(10**37), 10**37)
    | st.binary(max_size=9)
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=9,
)


@given(st.dictionaries(st.text("abc", min_size=1), plain))
def test_plain_values_come_back_from_the_wire_as_they_went(item: Item) -> None:
    assert unwired(wired(item)) == item


def test_floats_are_not_stored_as_numbers() -> None:
    with pytest.raises(TypeError):
        wired({"n": 1.5})


@pytest.mark.parametrize("timeout", [5e-324, 0.1, 1e-7, 43_200.0, 1.7976931348623157e308])
async def test_timeouts_come_back_exactly(table: Table, timeout: float) -> None:
    clock = Clock()
    stage = Stage(table.ledger(clock), clock, never)
    await stage.submit("a", timeout=timeout)
    assert (await stage.record("a")).timeout == timeout
    await stage.ledger.close()


async def test_the_same_submission_twice_in_a_call_is_accepted_once(table: Table) -> None:
    ledger = table.ledger(Clock())
    new = submission("a")
    answers = await ledger.submit([new, new])
    assert [answer.verdict for answer in answers] == ["accepted", "replayed"]
    await ledger.close()
