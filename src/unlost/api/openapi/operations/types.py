"""What can be asked about, and set for, types of tasks."""

from __future__ import annotations

from unlost.access.keys import KeyScope
from unlost.api.openapi.operation import Answer, Body, Operation
from unlost.api.openapi.schemas import types as schemas
from unlost.api.openapi.schemas.acts import ActRequest

_TYPE = Answer("The type.", schemas.TypeBody)
TYPES = Operation(
    "GET",
    "/types",
    "listTypes",
    "List the types for which something is set: a pause, a limit, a rate, a breaker.",
    {200: Answer("The types, by name.", schemas.TypesBody)},
)
PAUSE = Operation(
    "POST",
    "/types/{type}/pause",
    "pauseType",
    "Let no task of this type start until it is resumed. An earlier pause stays.",
    {200: _TYPE},
    body=Body(ActRequest, required=False),
    refused=(404,),
    scope=KeyScope.OPERATE,
)
RESUME = Operation(
    "POST",
    "/types/{type}/resume",
    "resumeType",
    "Let tasks of this type start again.",
    {200: _TYPE},
    body=Body(ActRequest, required=False),
    refused=(404,),
    scope=KeyScope.OPERATE,
)
CHANGE = Operation(
    "PATCH",
    "/types/{type}",
    "changeType",
    "Set or remove a type's limits, its rates and its breaker.",
    {200: _TYPE},
    body=Body(schemas.TypeChange),
    refused=(404,),
    scope=KeyScope.OPERATE,
)
