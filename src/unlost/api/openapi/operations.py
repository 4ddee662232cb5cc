"""What can be asked of the API, as data: the routes are made of it, and the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from unlost.api.answers import exposition
from unlost.api.openapi import parameters as p
from unlost.api.openapi import schemas
from unlost.api.request.query import Parameter
from unlost.audit import Audit
from unlost.keys import KeyScope

JSON: Final = "application/json"
HTML: Final = "text/html"

_BODY_REFUSALS = (400, 413, 415, 422)


class Body(msgspec.Struct, frozen=True):
    """What a call takes: its JSON, and whether it may be left out."""

    schema: type[msgspec.Struct]
    required: bool = True
    ndjson: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What a call gives when it succeeds.  Without a schema it is no JSON.

    `or_media_type` is what it may be instead, if the caller accepts that.

    `task_id` and `cursor` point (RFC 6901) at what further calls need of it.
    """

    description: str
    schema: type[msgspec.Struct] | None = None
    media_type: str | None = JSON
    or_media_type: str | None = None
    headers: tuple[str, ...] = ()
    task_id: str | None = None
    cursor: str | None = None


class Operation(msgspec.Struct, frozen=True):
    """A method of a path, what it takes and what it may answer.

    `scope` is what a key must have where keys are needed; None: nobody needs one.
    """

    method: str
    path: str
    name: str
    summary: str
    answers: dict[int, Answer]
    body: Body | None = None
    query: tuple[Parameter, ...] = ()
    refused: tuple[int, ...] = ()
    scope: KeyScope | None = KeyScope.READ

    @property
    def refusals(self) -> list[int]:
        """The statuses of problem documents that it may answer."""
        found = {500, 503, *self.refused}
        found.update(_BODY_REFUSALS if self.body else ())
        found.update((422,) if self.query else ())
        return sorted(found)


_TASK = Answer("The task.", schemas.TaskBody, task_id="/taskId")
_PAGE = Answer(
    "A page of the list.", schemas.ListBody, task_id="/tasks/0/taskId", cursor="/nextCursor"
)
_ACTED_BY = (p.BY, p.REASON)

SUBMIT = Operation(
    "POST",
    "/tasks",
    "submitTask",
    "Submit a task. Once this answers 202 it survives a crash of everything.",
    {
        200: Answer(
            "The same task was submitted before; as it is now.",
            schemas.TaskBody,
            headers=("Idempotent-Replayed",),
            task_id="/taskId",
        ),
        202: Answer(
            "The task is stored.", schemas.TaskBody, headers=("Location",), task_id="/taskId"
        ),
    },
    body=Body(schemas.NewTask),
    refused=(409,),
    scope=KeyScope.SUBMIT,
)
SUBMIT_BATCH = Operation(
    "POST",
    "/tasks/batch",
    "submitBatch",
    "Submit many tasks at once. A bad one rejects only itself.",
    {200: Answer("What became of each.", schemas.BatchBody, task_id="/results/0/taskId")},
    body=Body(schemas.NewBatch, ndjson=True),
    scope=KeyScope.SUBMIT,
)
LIST = Operation(
    "GET",
    "/tasks",
    "listTasks",
    "List tasks, newest first.",
    {200: _PAGE},
    query=(p.STATE, p.TYPE, p.ID_PREFIX, p.SINCE, p.UNTIL, p.INCLUDE, p.LIMIT, p.CURSOR),
)
SHOW = Operation(
    "GET",
    "/tasks/{taskId}",
    "getTask",
    "Show a task, at once or when it has come to its end.",
    {200: _TASK},
    query=(p.WAIT,),
    refused=(404,),
)
CANCEL = Operation(
    "POST",
    "/tasks/{taskId}/cancel",
    "cancelTask",
    "Cancel a task that has not come to its end.",
    {200: _TASK},
    body=Body(schemas.ActRequest, required=False),
    query=_ACTED_BY,
    refused=(404, 409),
    scope=KeyScope.OPERATE,
)
DEAD_LETTERS = Operation(
    "GET",
    "/dead-letters",
    "listDeadLetters",
    "List dead letters, the last to die first.",
    {200: _PAGE},
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
    {202: _TASK},
    body=Body(schemas.RedriveRequest, required=False),
    query=_ACTED_BY,
    refused=(404, 409),
    scope=KeyScope.OPERATE,
)
REDRIVE_MANY = Operation(
    "POST",
    "/dead-letters/redrive",
    "redriveDeadLetters",
    "Redrive the dead letters that all of the given selectors name, oldest death first.",
    {202: Answer("How many, and whether to call again.", schemas.RedrivenBody)},
    body=Body(schemas.BulkRedriveRequest),
    scope=KeyScope.OPERATE,
)
DISCARD = Operation(
    "DELETE",
    "/dead-letters/{taskId}",
    "discardDeadLetter",
    "Discard a dead letter: it becomes cancelled, its history stays.",
    {204: Answer("It is discarded.", media_type=None)},
    body=Body(schemas.ActRequest, required=False),
    query=_ACTED_BY,
    refused=(404, 409),
    scope=KeyScope.OPERATE,
)
STATS = Operation(
    "GET",
    "/stats",
    "stats",
    "The counters, in one snapshot.",
    {200: Answer("The counters.", schemas.StatsBody)},
)
AUDIT = Operation(
    "GET",
    "/audit",
    "audit",
    "Check every promise against the records.",
    {200: Answer("The sums, and every broken promise found.", Audit)},
)
EVENTS = Operation(
    "GET",
    "/events",
    "watchEvents",
    "Follow the tasks' transitions as they happen.",
    {200: Answer("Server-sent events.", media_type="text/event-stream")},
)
LIVE = Operation(
    "GET",
    "/livez",
    "live",
    "Is the process alive?",
    {200: Answer("It is.", schemas.HealthBody)},
    scope=None,
)
READY = Operation(
    "GET",
    "/readyz",
    "ready",
    "Does the ledger answer a write?",
    {200: Answer("It does.", schemas.HealthBody)},
)
METRICS = Operation(
    "GET",
    "/metrics",
    "metrics",
    "What all processes together have counted and measured, for Prometheus.",
    {
        200: Answer(
            "Prometheus text, or OpenMetrics where `Accept` prefers it.",
            media_type=exposition.PROMETHEUS.media_type,
            or_media_type=exposition.OPENMETRICS.media_type,
        )
    },
)
DOCUMENT = Operation(
    "GET",
    "/openapi.json",
    "openapi",
    "This document.",
    {200: Answer("OpenAPI 3.1.")},
)
DOCS = Operation(
    "GET", "/docs", "docs", "This document, to read.", {200: Answer("A page.", media_type=HTML)}
)
HOME = Operation(
    "GET",
    "/",
    "home",
    "The web console.",
    {200: Answer("A page.", media_type=HTML)},
    scope=None,  # it holds no data: the console asks for the key, and brings it with each call
)

PAGES: Final = (DOCUMENT, DOCS, HOME)

CONSOLE_FILES: Final = tuple(
    Operation("GET", path, name, "A file of the console.", {200: Answer("It.")}, scope=None)
    for path, name in (
        ("/console/{file}", "consoleFile"),
        ("/console/{folder}/{file}", "consoleFileBelow"),
    )
)
"""They are no part of the API: the OpenAPI document leaves them out."""


def schema_of(parameter: Parameter) -> dict[str, Any]:
    """A parameter as the OpenAPI document has it."""
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": parameter.schema,
    }
    if parameter.schema.get("type") == "array":
        described |= {"style": "form", "explode": False}
    return described
