"""Whatever keeps DynamoDB from answering is waited for, or told as LedgerUnavailable."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse, HeadersDict

from tests.conformance.stage import Clock, Stage, must_add_up, submission
from tests.ledger.dynamodb_steps import LARGE, never
from tests.ledger.faulty import Interfered
from tests.ledger.patience import hurried
from tests.ledger.tables import Table
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit
from unlost.ledger.values import Verdict


def refusal(code: str, **more: Any) -> AWSResponse:
    """An error as DynamoDB sends it."""
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **more}).encode()
    raw = BytesIO(body)
    raw.stream = lambda: [body]  # type: ignore[attr-defined]
    return AWSResponse("http://here", 400, HeadersDict(), raw)  # type: ignore[arg-type]


class Refusing:
    """Refuses an operation as often as told, before anything reaches the table."""

    def __init__(self, operation: str, often: int, code: str, **more: Any) -> None:
        self._operation = operation
        self.left = often
        self._answer = (code, more)

    def __call__(
        self, operation: str, request: Any, send: Callable[[], AWSResponse]
    ) -> AWSResponse | None:
        if operation != self._operation or self.left == 0:
            return None
        self.left -= 1
        code, more = self._answer
        return refusal(code, **more)


@pytest.fixture
async def tampered(table: Table, interfered: Interfered) -> AsyncIterator[DynamoLedger]:
    interfered.interfere = None
    ledger = table.ledger(Clock(), client=interfered.client, retrying=hurried())
    await ledger.open()
    yield ledger
    interfered.interfere = None
    await must_add_up(ledger)
    await ledger.close()


CONFLICT = {"CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}]}


@pytest.mark.parametrize(
    ("operation", "code", "more"),
    [
        ("PutItem", "ThrottlingException", {}),
        ("PutItem", "ProvisionedThroughputExceededException", {}),
        ("PutItem", "TransactionConflictException", {}),
        ("TransactWriteItems", "TransactionCanceledException", CONFLICT),
        ("TransactWriteItems", "TransactionInProgressException", {}),
        ("TransactWriteItems", "ThrottlingException", {}),
    ],
)
async def test_what_passes_is_waited_for_and_what_lasts_is_unavailable(
    tampered: DynamoLedger,
    interfered: Interfered,
    operation: str,
    code: str,
    more: dict[str, Any],
) -> None:
    payload = LARGE if operation == "TransactWriteItems" else "{}"
    interfered.interfere = Refusing(operation, 2, code, **more)
    (answer,) = await tampered.submit([submission("a", payload)])
    assert answer.verdict is Verdict.ACCEPTED
    interfered.interfere = Refusing(operation, 1000, code, **more)
    with pytest.raises(LedgerUnavailable):
        await tampered.submit([submission("b", payload)])
    assert await tampered.get("b") is None


DENIED = "User: arn:aws:sts::1:x is not authorized to perform: dynamodb:UpdateItem on …"
NO_INDEX = "The table does not have the specified index: look"


@pytest.mark.parametrize(
    ("operation", "code", "said", "told"),
    [
        ("GetItem", "AccessDeniedException", "no", r"dynamodb:GetItem on the table tasks-\d+ is"),
        ("TransactWriteItems", "AccessDeniedException", DENIED, "^dynamodb:UpdateItem on the"),
        ("PutItem", "AccessDeniedException", "KMS key is disabled", "KMS key is disabled"),
        ("PutItem", "UnrecognizedClientException", "no", "does not take these credentials"),
        ("PutItem", "ExpiredTokenException", "old", "does not take these credentials: .*old"),
        ("PutItem", "ResourceNotFoundException", "no", r"no table tasks-\d+ here"),
        ("PutItem", "ValidationException", NO_INDEX, "has no index look"),
        ("PutItem", "ItemCollectionSizeLimitExceededException", "full", "refuses PutItem: .*full"),
    ],
)
async def test_what_does_not_pass_by_itself_is_told_at_once(
    tampered: DynamoLedger,
    interfered: Interfered,
    operation: str,
    code: str,
    said: str,
    told: str,
) -> None:
    interfered.interfere = refusing = Refusing(operation, 1000, code, message=said)
    new = [submission("a", LARGE if operation == "TransactWriteItems" else "{}")]
    step = tampered.get("a") if operation == "GetItem" else tampered.submit(new)
    with pytest.raises(LedgerUnfit, match=told) as refusal:
        await step
    assert refusing.left == 999
    assert "\n" not in str(refusal.value)


class Half:
    """A client whose batches are answered in part, as DynamoDB may do; `least` is one key."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.partly = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_get_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803 - boto3's name
        ((table, wanted),) = RequestItems.items()
        now, later = halves(wanted["Keys"])
        answer = self._client.batch_get_item(RequestItems={table: {**wanted, "Keys": now}})
        self.partly += bool(later)
        return answer | {"UnprocessedKeys": {table: {**wanted, "Keys": later}} if later else {}}

    def batch_write_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803
        ((table, wanted),) = RequestItems.items()
        now, later = halves(wanted)
        answer = self._client.batch_write_item(RequestItems={table: now})
        self.partly += bool(later)
        return answer | {"UnprocessedItems": {table: later} if later else {}}


def halves(some: list[Any]) -> tuple[list[Any], list[Any]]:
    middle = -(-len(some) // 2)
    return some[:middle], some[middle:]


async def test_what_a_batch_leaves_undone_is_asked_for_again(table: Table) -> None:
    client = Half(table.client)
    ledger = table.ledger(Clock(), client=client, retrying=hurried())
    stage = Stage(ledger, Clock(), never)
    ids = [f"t{number}" for number in range(30)]
    await stage.bury(*ids)
    reports = await ledger.claim_reports(100, 1)
    assert sorted(report.task_id for report in reports) == sorted(ids)
    await ledger.reported([report.id for report in reports])
    assert not any(item["pk"]["S"].startswith("report#") for item in table.items())
    assert client.partly > 5
    await ledger.close()


async def test_what_a_batch_always_leaves_undone_is_unavailable(table: Table) -> None:
    class Never(Half):
        def batch_get_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803
            return {"Responses": {}, "UnprocessedKeys": RequestItems}

    ledger = table.ledger(Clock(), client=Never(table.client), retrying=hurried())
    with pytest.raises(LedgerUnavailable, match="undone"):
        await ledger.dropped({"token": "a"})
    await ledger.close()
