"""Making a call again that was refused for the moment, or that nobody answered.

The SDK's own retries are off (`once`): how long they outlast an outage differs from version to
version, and a quota that is shared by all calls of a client ends them early.  What is called
through here is safe to repeat after an unknown outcome.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final, TypeVar

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)

from unlost.policy import Backoff

T = TypeVar("T")


CONNECT_TIMEOUT: Final = 2.0
READ_TIMEOUT: Final = 5.0

PAUSES: Final = Backoff(base=0.025, cap=1.0)

UNANSWERED: Final = (
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    CredentialRetrievalError,
    MetadataRetrievalError,
)
PASSING: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "InternalError",
        "InternalServerError",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "TooManyRequestsException",
    }
)
"""Codes of errors that pass by themselves, besides those that say `Throttl` and any 5xx."""


def once(connections: int) -> Config:
    """The configuration of a client: each call is made once, and not waited for without end."""
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=connections,
        tcp_keepalive=True,
    )


class Passing(Exception):
    """What is in the way passes by itself; the call is safe to be made again."""


def passes(fault: ClientError | BotoCoreError) -> bool:
    """Whether what an AWS service, or the way to it, refused may well be granted a moment later."""
    if not isinstance(fault, ClientError):
        return isinstance(fault, UNANSWERED)
    response: Any = fault.response
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(response["Error"].get("Code", ""))
    return status >= 500 or status == 429 or "Throttl" in code or code in PASSING


class Retrying:
    """Makes a call again while what is in the way is Passing, for `seconds`.

    A last try may begin just before these are over.  `left` tells how many seconds remain to
    whoever waits for the answer: nothing is waited for beyond them.  `now` and `sleep` are in
    seconds, `random` spreads the pauses.
    """

    def __init__(
        self,
        seconds: float,
        *,
        left: Callable[[], float] = lambda: math.inf,
        random: Random | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._seconds = seconds
        self._left = left
        self._random = random or Random()
        self._now = now
        self._sleep = sleep

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Its answer.  Raises Passing once it has lasted too long, TimeoutError where no time is
        left, and whatever else the call does at once."""
        left = self._left()
        async with asyncio.timeout(left if left < math.inf else None):
            return await self._until_answered(call)

    async def _until_answered(self, call: Callable[[], Awaitable[T]]) -> T:
        end = self._now() + self._seconds
        tries = 0
        while True:
            try:
                return await call()
            except Passing:
                tries += 1
                pause = PAUSES.wait(tries, self._random.random())
                if self._now() + pause > end or pause > self._left():
                    raise
            await self._sleep(pause)
