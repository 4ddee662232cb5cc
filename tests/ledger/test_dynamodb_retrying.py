"""What passes by itself is outlasted for seconds, what lasts is told at once; in virtual time."""

from __future__ import annotations

import asyncio
import math
import threading
from random import Random

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from unlost.ledger.dynamodb.connection.calls import OUTLASTED, Calls
from unlost.ledger.dynamodb.connection.retrying import PAUSES, Passing, Retrying, passes
from unlost.ledger.protocol import LedgerUnavailable


class Outage:
    """A call that fails until `end`, on a clock that pauses move, and tries by `each` seconds."""

    def __init__(self, end: float, fault: type[Exception] = Passing, each: float = 0.0) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.tries = 0
        self._end = end
        self._fault = fault
        self._each = each

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def call(self) -> str:
        self.tries += 1
        self.now += self._each
        if self.now < self._end:
            raise self._fault
        return "answered"

    def retrying(self, seed: int = 0, left: float = math.inf) -> Retrying:
        return Retrying(
            OUTLASTED,
            left=lambda: left - self.now,
            random=Random(seed),
            now=lambda: self.now,
            sleep=self.sleep,
        )


@pytest.mark.parametrize("seed", range(50))
async def test_an_outage_of_seconds_is_outlasted(seed: int) -> None:
    outage = Outage(OUTLASTED - PAUSES.cap)
    assert await outage.retrying(seed)(outage.call) == "answered"
    assert outage.tries < 25
    longest = [min(PAUSES.cap, PAUSES.base * 2.0**n) for n in range(len(outage.pauses))]
    for pause, most in zip(outage.pauses, longest, strict=True):
        assert most / 2 <= pause <= most


@pytest.mark.parametrize("each", [0.0, 0.5, 7.0])
async def test_what_lasts_longer_is_given_up_in_time(each: float) -> None:
    outage = Outage(math.inf, each=each)
    with pytest.raises(Passing):
        await outage.retrying()(outage.call)
    assert outage.now <= OUTLASTED + each
    assert outage.tries >= 2 or each + PAUSES.base > OUTLASTED


async def test_a_call_that_was_not_answered_once_is_made_again() -> None:
    outage = Outage(7.5, each=7.0)
    assert await outage.retrying()(outage.call) == "answered"


async def test_what_does_not_pass_is_raised_at_once() -> None:
    outage = Outage(1.0, LedgerUnavailable)
    with pytest.raises(LedgerUnavailable):
        await outage.retrying()(outage.call)
    assert (outage.tries, outage.pauses) == (1, [])


async def test_no_pause_goes_beyond_what_is_left_to_whoever_waits() -> None:
    outage = Outage(math.inf)
    with pytest.raises(Passing):
        await outage.retrying(left=2.0)(outage.call)
    assert 0.9 < outage.now <= 2.0


async def test_a_call_that_hangs_is_waited_for_no_longer_than_what_is_left() -> None:
    class Hanging:
        def get_item(self, **_: object) -> None:
            released.wait(10)

    released = threading.Event()
    calls = Calls("tasks", Hanging(), retrying=Retrying(OUTLASTED, left=lambda: 0.05))
    with pytest.raises(LedgerUnavailable, match="no time is left"):
        await calls.get(("p", "s"))
    released.set()
    await asyncio.to_thread(calls.close)


def refused(status: int, code: str) -> ClientError:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetItem")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fault",
    [
        refused(500, "InternalServerError"),
        refused(503, ""),
        refused(502, "<html>"),
        refused(429, "Whatever"),
        refused(400, "ThrottlingException"),
        refused(400, "ProvisionedThroughputExceededException"),
        refused(400, "RequestLimitExceeded"),
        refused(403, "RequestThrottled"),
        ReadTimeoutError(endpoint_url="here"),
        ConnectTimeoutError(endpoint_url="here"),
        EndpointConnectionError(endpoint_url="here"),
        ConnectionClosedError(endpoint_url="here"),
    ],
    ids=str,
)
def test_what_passes_by_itself(fault: ClientError | BotoCoreError) -> None:
    assert passes(fault)


@pytest.mark.parametrize(
    "fault",
    [
        refused(400, "AccessDeniedException"),
        refused(400, "ResourceNotFoundException"),
        refused(400, "ValidationException"),
        refused(400, "ExpiredTokenException"),
        refused(403, "InvalidSignatureException"),
        refused(400, "AWS.SimpleQueueService.NonExistentQueue"),
        NoCredentialsError(),
        ParamValidationError(report="no"),
    ],
    ids=str,
)
def test_what_lasts_until_somebody_mends_it(fault: ClientError | BotoCoreError) -> None:
    assert not passes(fault)
