"""`unlost key`: keys are given out once, listed without themselves, and taken back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.emulator import Emulator
from tests.cli.conftest import Command
from tests.ledger.tables import Table
from unlost.aws.keys import TableKeys
from unlost.keys import Key, KeyScope, digest
from unlost.ledger.dynamodb.connection.calls import Calls


@pytest.fixture
def table(emulator: Emulator) -> Iterator[Table]:
    with Table(emulator.url) as table:
        yield table


@pytest.fixture
def keyring(emulator: Emulator, table: Table, tmp_path: Path) -> Command:
    """The command with a table to keep keys in."""
    aws = {name: text for name, text in emulator.environment.items() if name.startswith("AWS_")}
    return Command(tmp_path, {**aws, "UNLOST_LEDGER": f"dynamodb://{table.name}"})


def found(table: Table, key: str) -> Key | None:
    """The key as the API would find it."""
    calls = Calls(table.name, table.client)
    try:
        return asyncio.run(TableKeys(calls).find(digest(key)))
    finally:
        calls.close()


def test_a_key_is_printed_once_and_only_its_hash_is_kept(keyring: Command, table: Table) -> None:
    made = keyring("key", "create", "--scope", "submit,read", "--name", "shop")

    key = made.out.strip()
    assert (made.status, made.err) == (0, "")
    assert key.startswith("unlost_")
    kept = found(table, key)
    assert kept is not None
    assert kept.name == "shop"
    assert kept.scopes == {KeyScope.SUBMIT, KeyScope.READ}
    everything = json.dumps(table.client.scan(TableName=table.name)["Items"], default=repr)
    assert key not in everything


def test_keys_are_listed_without_themselves(keyring: Command) -> None:
    key = keyring("key", "create", "--scope", "read", "--name", "one").out.strip()
    keyring("key", "create", "--scope", "operate, submit", "--name", "two")

    plain, listed = keyring("key", "list"), keyring("key", "list", "--json")

    assert [line.split()[:2] for line in plain.out.splitlines()] == [
        ["NAME", "SCOPES"], ["one", "read"], ["two", "operate,submit"],
    ]  # fmt: skip
    shown = json.loads(listed.out)["keys"]
    assert [(one["name"], one["scopes"]) for one in shown] == [
        ("one", ["read"]), ("two", ["operate", "submit"]),
    ]  # fmt: skip
    assert all(one["createdAt"].endswith("Z") for one in shown)
    assert key not in plain.out + listed.out


def test_a_revoked_key_is_gone_and_no_other(keyring: Command, table: Table) -> None:
    one = keyring("key", "create", "--scope", "read", "--name", "one").out.strip()
    made = keyring("key", "create", "--scope", "submit,read", "--name", "two", "--json")
    two = json.loads(made.out)["key"]

    assert json.loads(made.out) == {"name": "two", "scopes": ["read", "submit"], "key": two}
    assert json.loads(keyring("key", "revoke", "one", "--json").out) == {"revoked": "one"}

    assert found(table, one) is None
    assert found(table, two) is not None
    assert keyring("key", "revoke", "one").complaint == "unlost: there is no key named one"


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (("create", "--scope", "all", "--name", "x"), 2, "--scope must be any of submit, read"),
        (("create", "--scope", "", "--name", "x"), 2, "--scope must be any of"),
        (("create", "--scope", "read", "--name", ""), 2, "--name must be 1 to 100"),
        (("create", "--scope", "read"), 2, "--name"),
        (("list", "--ledger", "sqlite:///x.db"), 2, "keys are kept in dynamodb://TABLE"),
        (("list", "--ledger", "dynamodb://"), 2, "keys are kept in dynamodb://TABLE"),
        (("list", "--ledger", "dynamodb://nowhere"), 1, "nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(
    keyring: Command, words: tuple[str, ...], status: int, complaint: str
) -> None:
    result = keyring("key", *words)

    assert result.status == status
    assert complaint in result.complaint


def test_a_name_is_given_once(keyring: Command) -> None:
    assert keyring("key", "create", "--scope", "read", "--name", "x").status == 0

    again = keyring("key", "create", "--scope", "read", "--name", "x")

    assert (again.status, again.out) == (1, "")
    assert again.complaint == "unlost: there is already a key named x"
