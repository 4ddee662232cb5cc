"""What can be asked about redrives."""

from __future__ import annotations

from typing import Final

from unlost.access.keys import KeyScope
from unlost.api.openapi import parameters as p
from unlost.api.openapi.operation import Answer, Body, Operation
from unlost.api.openapi.schemas import redrives as schemas
from unlost.api.openapi.schemas.acts import ActRequest
from unlost.api.request import query
from unlost.api.request.query import Parameter
from unlost.redrive import RedriveState

_REDRIVE: Final = Answer("The redrive.", schemas.RedriveBody)

STATE: Final = Parameter(
    "state",
    "Only redrives in this state.",
    {"type": "string", "enum": [state.value for state in RedriveState]},
    lambda text: RedriveState(query.one_of(RedriveState)(text)),
)
LIMIT: Final = p.LIMIT._replace(description="The most redrives on the page.")

BEGIN: Final = Operation(
    "POST",
    "/redrives",
    "beginRedrive",
    "Begin a redrive of dead letters, oldest death first, which goes on by itself.",
    {
        201: Answer("The redrive, new.", schemas.RedriveBody, headers=("Location",)),
        200: Answer("The same again: the redrive as it is.", schemas.RedriveBody),
    },
    body=Body(schemas.NewRedrive),
    refused=(409,),
    scope=KeyScope.OPERATE,
)
REDRIVES: Final = Operation(
    "GET",
    "/redrives",
    "listRedrives",
    "List redrives, newest first.",
    {200: Answer("A page of redrives.", schemas.RedrivesBody)},
    query=(STATE, LIMIT, p.CURSOR),
)
REDRIVE: Final = Operation(
    "GET",
    "/redrives/{redriveId}",
    "getRedrive",
    "Look at a redrive.",
    {200: _REDRIVE},
    refused=(404,),
)
STOP: Final = Operation(
    "POST",
    "/redrives/{redriveId}/stop",
    "stopRedrive",
    "Let a redrive take nothing more; what is under way goes on, what is left stays dead.",
    {200: _REDRIVE},
    body=Body(ActRequest, required=False),
    refused=(404,),
    scope=KeyScope.OPERATE,
)
