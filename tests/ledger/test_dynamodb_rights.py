"""A permission that is missing is named, by whoever comes upon it, where IAM is enforced."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.aws.emulator import REGION, Emulator
from tests.aws.plugin import shown
from tests.cli.conftest import Command
from tests.cli.ledgers import idle
from tests.conformance.stage import Clock
from unlost.api.app import create_app
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.dynamodb.connection.retrying import once
from unlost.ledger.dynamodb.schema import definition
from unlost.settings import Settings

ALL = (
    "GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem",
    "ConditionCheckItem",
)  # fmt: skip
_numbers = count(1)

Keys = dict[str, str]
ROOT: Keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
Account = Callable[..., tuple[str, Keys]]


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Emulator]:
    with shown(Emulator(tmp_path_factory.mktemp("guarded"), auth=True), pytestconfig) as emulator:
        yield emulator


def client(emulator: Emulator, service: Any, keys: Keys) -> Any:
    return boto3.client(
        service,
        endpoint_url=emulator.url,
        region_name=REGION,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        config=once(4),
    )


@pytest.fixture
def account(guarded: Emulator) -> Account:
    """`account("Query", ...)`: a new table, and the keys of one who may do all but these there;
    with `index` nothing on that index."""

    def make(*without: str, index: str = "") -> tuple[str, Keys]:
        name = f"guarded-{next(_numbers)}"
        dynamodb, iam = client(guarded, "dynamodb", ROOT), client(guarded, "iam", ROOT)
        table = dynamodb.create_table(**definition(name))["TableDescription"]["TableArn"]
        indexes = [f"{table}/index/{one}" for one in ("look", "submitted") if one != index]
        iam.create_user(UserName=name)
        statement = {
            "Effect": "Allow",
            "Action": [f"dynamodb:{action}" for action in ALL if action not in without],
            "Resource": [table, *indexes],
        }
        iam.put_user_policy(
            UserName=name,
            PolicyName="p",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return name, {
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        }

    return make


@pytest.fixture
def as_user(guarded: Emulator, tmp_path: Path) -> Callable[[Keys], Command]:
    aws = {name: value for name, value in guarded.environment.items() if name.startswith("AWS_")}
    return lambda keys: Command(tmp_path, {**aws, **keys, "UNLOST_URL": "http://127.0.0.1:9"})


AsUser = Callable[[Keys], Command]


def checks(command: Command, table: str, status: int) -> list[str]:
    words = ("doctor", "--json", "--port", "0", "--ledger", f"dynamodb://{table}")
    found = command(*words)
    assert found.status == status, found.out + found.err
    return [one["detail"] for one in json.loads(found.out)["checks"] if one["check"] == "ledger"]


def test_doctor_names_all_that_is_missing_and_changes_nothing(
    account: Account, as_user: AsUser, guarded: Emulator
) -> None:
    table, keys = account("PutItem", "BatchWriteItem", "ConditionCheckItem", index="look")
    told = checks(as_user(keys), table, 1)
    assert [one.partition(" may not ")[2] for one in told] == [
        f"dynamodb:Query on the index look of the table {table}",
        "dynamodb:PutItem, dynamodb:BatchWriteItem, dynamodb:ConditionCheckItem on the table "
        + table,
    ]
    assert all(f"user/{table}" in one for one in told)
    assert client(guarded, "dynamodb", ROOT).scan(TableName=table)["Items"] == []


def test_with_every_permission_nothing_is_missing(account: Account, as_user: AsUser) -> None:
    table, keys = account()
    [told] = checks(as_user(keys), table, 0)
    assert "answered a write" in told


@pytest.mark.parametrize("action", ALL)
def test_each_action_that_is_missing_is_named(
    account: Account, as_user: AsUser, action: str
) -> None:
    table, keys = account(action)
    told = checks(as_user(keys), table, 1)
    assert all(f" may not dynamodb:{action} on " in one for one in told)


def test_a_service_does_not_start_and_says_what_is_missing(
    account: Account, as_user: AsUser
) -> None:
    table, keys = account("UpdateItem")
    ended = as_user(keys)("api", "--port", "0", "--ledger", f"dynamodb://{table}")
    assert ended.status == 1
    assert f"may not dynamodb:UpdateItem on the table {table}" in ended.err.splitlines()[-1]


def test_a_table_that_is_not_there_or_somebody_elses_is_told(
    account: Account, as_user: AsUser, guarded: Emulator
) -> None:
    [none] = checks(as_user(ROOT), "none-here", 1)
    assert "DynamoDB has no table none-here here" in none
    client(guarded, "dynamodb", ROOT).create_table(
        TableName="elses",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    told = checks(as_user(ROOT), "elses", 1)
    assert any("elses is not an unlost ledger" in one for one in told)


async def test_the_api_is_not_ready_and_each_refusal_has_its_reason_in_the_log(
    account: Account, guarded: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    table, keys = account("PutItem")
    owner = DynamoLedger(table, Clock(), client=client(guarded, "dynamodb", ROOT))
    await owner.open()
    await owner.close()
    ledger = DynamoLedger(table, Clock(), client=client(guarded, "dynamodb", keys))
    transport = httpx.ASGITransport(create_app(ledger, Settings()))
    with caplog.at_level(logging.WARNING):
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
            ready = await api.get("/readyz")
            submitted = await api.post("/tasks", json={"taskId": "t", "payload": {}})
    for answer in (ready, submitted):
        assert answer.status_code == 503
        assert "the ledger lacks a permission" in answer.json()["detail"]
        assert table not in answer.text
    assert submitted.headers["retry-after"] == "10"
    [why] = {getattr(record, "why", "") for record in caplog.records}
    assert f"dynamodb:PutItem on the table {table} is not allowed" in why
    await ledger.close()


def test_a_command_says_what_it_may_not_do(account: Account, as_user: AsUser) -> None:
    table, keys = account("PutItem")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in as_user(ROOT).variables.items():
            patched.setenv(name, value)
        asyncio.run(idle(f"dynamodb://{table}"))
    refused = as_user(keys)("pause", "mail", "--ledger", f"dynamodb://{table}")
    assert refused.status == 1
    assert f"dynamodb:PutItem on the table {table} is not allowed" in refused.complaint
    assert "try again" not in refused.complaint
