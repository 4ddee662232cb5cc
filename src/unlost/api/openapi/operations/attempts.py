"""What workers can ask for that claim by the API."""

from __future__ import annotations

from typing import Final

from unlost.access.keys import KeyScope
from unlost.api.openapi.operation import Answer, Body, Link, Operation
from unlost.api.openapi.schemas import attempts as schemas

_ATTEMPT: Final = "$response.body#/attempts/0/token"
"""The token of the first attempt that was claimed."""


def _settled(name: str, **how: object) -> Link:
    """A settlement of the first attempt that was claimed."""
    return Link(name, "settleAttempts", {"attempts": [{"token": _ATTEMPT, **how}]})


_LINKS: Final = (
    _settled("succeed", outcome="succeeded", result={}),
    _settled("fail", outcome="failed", error={"type": "Error", "message": "why"}),
    _settled("release", outcome="released"),
    Link("again", "claimAttempts", "$request.body"),
    Link("recordStep", "recordStep", {"token": _ATTEMPT, "name": "charge", "result": {}}),
    Link(
        "extend",
        "extendWorker",
        {"leaseSeconds": 60, "tokens": [_ATTEMPT]},
        {"worker": "$request.body#/worker"},
    ),
)

CLAIM: Final = Operation(
    "POST",
    "/attempts/claim",
    "claimAttempts",
    "Claim attempts of tasks that are due, and run them until they are settled.",
    {
        200: Answer(
            "The attempts; none where nothing was due.", schemas.ClaimedAttemptsBody, links=_LINKS
        )
    },
    body=Body(schemas.NewClaim),
    refused=(403, 409),
    scope=KeyScope.WORK,
)
EXTEND: Final = Operation(
    "POST",
    "/workers/{worker}/extend",
    "extendWorker",
    "Prolong the lease of all that a worker holds, and hear what of it runs no more.",
    {200: Answer("What runs no more.", schemas.GoneAttemptsBody)},
    body=Body(schemas.NewLease),
    refused=(403, 404, 409),
    scope=KeyScope.WORK,
)
STEP: Final = Operation(
    "POST",
    "/attempts/steps",
    "recordStep",
    "Record a step, while its attempt runs.",
    {200: Answer("It is recorded.", schemas.RecordedBody)},
    body=Body(schemas.NewStep),
    refused=(403, 404, 409),
    scope=KeyScope.WORK,
)
SETTLE: Final = Operation(
    "POST",
    "/attempts/settle",
    "settleAttempts",
    "Settle attempts, each only while it runs.",
    {200: Answer("What became of each.", schemas.SettledAttemptsBody)},
    body=Body(schemas.NewSettlements),
    scope=KeyScope.WORK,
)
