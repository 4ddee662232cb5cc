"""What can be asked about dead letters."""

from __future__ import annotations

from unlost.access.keys import KeyScope
from unlost.api.openapi import parameters as p
from unlost.api.openapi.operation import Answer, Body, Operation
from unlost.api.openapi.operations.tasks import ACTED_ON, AGAIN, PAGE
from unlost.api.openapi.schemas import dead_letters as schemas
from unlost.api.openapi.schemas.acts import OnceRequest
from unlost.api.openapi.schemas.tasks import KnownBody, TaskBody

DONE_BEFORE = Answer(
    "This call came before, and has done it; the task as it is now.",
    TaskBody,
    to_others=KnownBody,
    headers=(AGAIN,),
    task_id="/taskId",
)
DEAD_LETTERS = Operation(
    "GET",
    "/dead-letters",
    "listDeadLetters",
    "List dead letters, the last to die first.",
    {200: PAGE},
    query=(p.TYPE, p.ERROR, p.INCLUDE, p.LIMIT, p.CURSOR),
)
GROUPS = Operation(
    "GET",
    "/dead-letters/groups",
    "groupDeadLetters",
    "Count dead letters by error.",
    {200: Answer("The groups, largest first.", schemas.GroupsBody)},
)
REDRIVE = Operation(
    "POST",
    "/dead-letters/{taskId}/redrive",
    "redriveDeadLetter",
    "Give a dead letter a fresh set of attempts.",
    {200: DONE_BEFORE, 202: ACTED_ON},
    body=Body(schemas.RedriveRequest, required=False),
    query=(*p.ACTED_BY, p.ONCE),
    refused=(404, 409),
    scope=KeyScope.OPERATE,
)
REDRIVE_MANY = Operation(
    "POST",
    "/dead-letters/redrive",
    "redriveDeadLetters",
    "Redrive the dead letters that all of the given selectors name, oldest death first.",
    {
        202: Answer("How many so far; it goes on by itself.", schemas.RedrivenBody),
        200: Answer("The same again: how many by now.", schemas.RedrivenBody),
    },
    body=Body(schemas.BulkRedriveRequest),
    refused=(409,),
    scope=KeyScope.OPERATE,
)
DISCARD = Operation(
    "DELETE",
    "/dead-letters/{taskId}",
    "discardDeadLetter",
    "Discard a dead letter: it becomes cancelled, its history stays.",
    {200: DONE_BEFORE, 204: Answer("It is discarded.", media_type=None)},
    body=Body(OnceRequest, required=False),
    query=(*p.ACTED_BY, p.ONCE),
    refused=(404, 409),
    scope=KeyScope.OPERATE,
)
