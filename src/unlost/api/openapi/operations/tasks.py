"""What can be asked about tasks."""

from __future__ import annotations

from unlost.access.keys import KeyScope
from unlost.api.openapi import parameters as p
from unlost.api.openapi.operation import Answer, Body, Operation
from unlost.api.openapi.schemas import tasks as schemas
from unlost.api.openapi.schemas.acts import ActRequest

TASK = Answer("The task.", schemas.TaskBody, task_id="/taskId")
ACTED_ON = Answer("The task.", schemas.TaskBody, to_others=schemas.KnownBody, task_id="/taskId")
PAGE = Answer(
    "A page of the list.", schemas.ListBody, task_id="/tasks/0/taskId", cursor="/nextCursor"
)
AGAIN = "Idempotent-Replayed"
SUBMIT = Operation(
    "POST",
    "/tasks",
    "submitTask",
    "Submit a task. Once this answers 202 it survives a crash of everything.",
    {
        200: Answer(
            "The same task was submitted before; as it is now.",
            schemas.TaskBody,
            to_others=schemas.KnownBody,
            headers=(AGAIN,),
            task_id="/taskId",
        ),
        202: Answer(
            "The task is stored.", schemas.TaskBody, headers=("Location",), task_id="/taskId"
        ),
    },
    body=Body(schemas.NewTask),
    refused=(409, 429),
    scope=KeyScope.SUBMIT,
)
SUBMIT_BATCH = Operation(
    "POST",
    "/tasks/batch",
    "submitBatch",
    "Submit many tasks at once. A bad one rejects only itself.",
    {
        200: Answer(
            "What became of each. `Retry-After` is the longest that a task asks for which was"
            " refused just now.",
            schemas.BatchBody,
            may_have=("Retry-After",),
            task_id="/results/0/taskId",
        )
    },
    body=Body(schemas.NewBatch, ndjson=True),
    scope=KeyScope.SUBMIT,
)
LIST = Operation(
    "GET",
    "/tasks",
    "listTasks",
    "List tasks, newest first.",
    {200: PAGE},
    query=(
        p.STATE,
        p.TYPE,
        p.ID_PREFIX,
        p.PARENT,
        p.SINCE,
        p.UNTIL,
        p.INCLUDE_WHY,
        p.LIMIT,
        p.CURSOR,
    ),
)
SHOW = Operation(
    "GET",
    "/tasks/{taskId}",
    "getTask",
    "Show a task, at once or when it has come to its end.",
    {200: TASK},
    query=(p.WAIT, p.INCLUDE_STEPS),
    refused=(404,),
    or_own=KeyScope.SUBMIT,
)
WHY = Operation(
    "GET",
    "/tasks/{taskId}/why",
    "explainTask",
    "Tell why a task is not running now, and what would change that.",
    {200: Answer("The reason.", schemas.WhyBody, task_id="/taskId")},
    refused=(404,),
    or_own=KeyScope.SUBMIT,
)
CANCEL = Operation(
    "POST",
    "/tasks/{taskId}/cancel",
    "cancelTask",
    "Cancel a task that has not come to its end.",
    {200: ACTED_ON},
    body=Body(ActRequest, required=False),
    query=p.ACTED_BY,
    refused=(404, 409),
    scope=KeyScope.OPERATE,
)
