"""The OpenAPI 3.1 document, made from the operations and their schemas."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from unlost.api import problems
from unlost.api.frame import OWN, Frame
from unlost.api.openapi.operation import JSON, Answer, Body, Operation
from unlost.api.openapi.schemas.attempts import WORKER_ID, NewSettlement
from unlost.api.openapi.schemas.fields import NO_CONTROL, OWN_ID
from unlost.api.openapi.schemas.problems import ProblemBody
from unlost.api.openapi.schemas.tasks import MAX_BATCH
from unlost.api.request.query import Parameter
from unlost.asked import names
from unlost.task import MAX_TIMEOUT, MAX_TYPE
from unlost.webhooks.target import Reach

_REF: Final = "#/components/schemas/{name}"
_SCHEME: Final = "key"
_IN_PATHS: Final = {
    "scheduleId": {
        "description": "The schedule's id.",
        "schema": {"type": "string", "pattern": OWN_ID},
    },
    "taskId": {
        "description": "The task's id, percent-encoded.",
        "schema": {"type": "string", "minLength": 1},
    },
    "type": {
        "description": "The type, percent-encoded.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_TYPE,
            "pattern": NO_CONTROL,
        },
    },
    "worker": {
        "description": "What the worker calls itself.",
        "schema": {"type": "string", "pattern": WORKER_ID},
    },
    "redriveId": {
        "description": "The redrive's id.",
        "schema": {"type": "string", "minLength": 1},
    },
}

Json = dict[str, Any]

_SELECTORS: Final[list[Json]] = [
    {"required": [name]} for name in ("fingerprint", "type", "taskIds", "all")
]

BEYOND_MEMBERS: Final[dict[str, dict[str, Any]]] = {
    "NewSchedule": {
        "oneOf": [{"required": ["cron"]}, {"required": ["every"]}],
        "not": {
            "properties": {"missed": {"const": "all"}, "overlap": {"const": "skip"}},
            "required": ["missed", "overlap"],
        },
    },
    "NewTask": {"not": {"required": ["delaySeconds", "runAt"]}},
    "BulkRedriveRequest": {"anyOf": _SELECTORS},
    "NewRedrive": {
        "anyOf": _SELECTORS,
        "if": {"required": ["payload"]},
        "then": {
            "required": ["taskIds"],
            "properties": {"taskIds": {"minItems": 1, "maxItems": 1}},
        },
    },
}
"""What holds for an object as a whole, by the name of its class."""


def document(
    known: Iterable[Operation], frame: Frame = OWN, *, secured: bool = False, root: str = ""
) -> Json:
    """The document that describes these operations within this frame.

    `secured` says whether calls need a key, `root` below which path the service is.
    """
    known = [_guarded(operation) if secured else _open(operation) for operation in known]
    names, schemas = _schemas(known)
    _narrow(schemas, frame)
    paths: Json = {}
    for operation in known:
        described = _operation(operation, names)
        for status, answer in operation.answers.items():
            if links := _links(operation, answer, known):
                described["responses"][str(status)]["links"] = links
        if secured and operation.scope is not None:
            described["security"] = [{_SCHEME: [operation.scope.value]}]
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    components: Json = {"schemas": schemas, "responses": _refusals(known, names)}
    if secured:
        components["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "unlost",
            "version": version("unlost"),
            "summary": "A task service that loses nothing.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": root or "/"}],
        "paths": paths,
        "components": components,
    }


def _guarded(operation: Operation) -> Operation:
    if operation.scope is None:
        return operation
    return msgspec.structs.replace(operation, refused=(*operation.refused, 401, 403))


def _open(operation: Operation) -> Operation:
    """The same where everybody may read everything."""
    answers = {
        status: msgspec.structs.replace(answer, to_others=None)
        for status, answer in operation.answers.items()
    }
    return msgspec.structs.replace(operation, answers=answers)


def _narrow(schemas: Json, frame: Frame) -> None:
    """Set the bounds of the frame where they are narrower than the contract's."""
    for new in ("NewTask", "NewSchedule"):
        members: Json = schemas[new]["properties"]
        if frame.longest_timeout < MAX_TIMEOUT:
            members["timeoutSeconds"]["description"] = (
                f"at most {frame.longest_timeout:g}, unless its type is marked `pull`"
            )
        if frame.callbacks is None:
            del members["callbackUrl"]
        elif frame.callbacks is Reach.PUBLIC:
            members["callbackUrl"]["pattern"] = "^https://"
        if frame.decoded_paths:
            for name in members.keys() & {"taskId", "type"}:
                members[name]["pattern"] = names.PATTERN
    if frame.decoded_paths:
        schemas["NewRun"]["properties"]["taskId"]["pattern"] = names.PATTERN
        for new in ("NewRedrive", "BulkRedriveRequest"):
            schemas[new]["properties"]["id"]["pattern"] = names.ID_PATTERN
    schemas["NewSchedule"]["properties"]["graceSeconds"]["default"] = frame.schedule_grace
    if frame.batch_tasks < MAX_BATCH:
        schemas["NewBatch"]["properties"]["tasks"]["maxItems"] = frame.batch_tasks


def _schemas(known: list[Operation]) -> tuple[dict[type, Json], Json]:
    """References to the schemas by type, and the schemas by name."""
    types: dict[type, None] = {ProblemBody: None, NewSettlement: None}
    for operation in known:
        if operation.body:
            types[operation.body.schema] = None
        answers = operation.answers.values()
        types |= {kind: None for a in answers for kind in (a.schema, a.to_others) if kind}
    references, components = msgspec.json.schema_components(types, ref_template=_REF)
    for name, rule in BEYOND_MEMBERS.items():
        components[name] |= rule
    return dict(zip(types, references, strict=True)), components


def _operation(operation: Operation, names: dict[type, Json]) -> Json:
    described: Json = {"operationId": operation.name, "summary": operation.summary}
    parameters = _path_parameters(operation.path)
    parameters += [_parameter(parameter) for parameter in operation.query]
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = _body(operation.body, names)
    described["responses"] = {
        str(status): _answer(answer, names) for status, answer in operation.answers.items()
    }
    for status in operation.refusals:
        described["responses"][str(status)] = {"$ref": f"#/components/responses/{status}"}
    return described


def _path_parameters(path: str) -> list[Json]:
    return [
        {
            "name": part[1:-1],
            "in": "path",
            "required": True,
            **_IN_PATHS[part[1:-1]],
        }
        for part in path.split("/")
        if part.startswith("{")
    ]


_LINES = "One task a line; it may be called application/ndjson or application/jsonl as well."


def _body(body: Body, names: dict[type, Json]) -> Json:
    content: Json = {JSON: {"schema": names[body.schema]}}
    if body.ndjson:
        content["application/x-ndjson"] = {"schema": {"type": "string", "description": _LINES}}
    return {"required": body.required, "content": content}


def _answer(answer: Answer, names: dict[type, Json]) -> Json:
    described: Json = {"description": answer.description}
    if answer.headers or answer.may_have:
        described["headers"] = {
            name: {"required": name in answer.headers, "schema": {"type": "string"}}
            for name in (*answer.headers, *answer.may_have)
        }
    if answer.media_type is not None:
        text = {"type": "object" if answer.media_type == JSON else "string"}
        schema = names[answer.schema] if answer.schema else text
        if answer.to_others is not None:
            schema = {"anyOf": [schema, names[answer.to_others]]}
        kinds = (answer.media_type, answer.or_media_type)
        described["content"] = {kind: {"schema": schema} for kind in kinds if kind is not None}
    return described


def _links(source: Operation, answer: Answer, known: list[Operation]) -> Json:
    """What can be called next with what an answer gives: every call on the task, the next page, and
    what it says itself."""
    links: Json = {}
    if answer.task_id is not None:
        given = {"taskId": f"$response.body#{answer.task_id}"}
        for target in known:
            if "/{taskId}" in target.path:
                links[target.name] = {"operationId": target.name, "parameters": given}
    if answer.cursor is not None:
        given = {"cursor": f"$response.body#{answer.cursor}"}
        links["nextPage"] = {"operationId": source.name, "parameters": given}
    for link in answer.links:
        described = {"operationId": link.to, "requestBody": link.body}
        links[link.name] = described | ({"parameters": link.parameters} if link.parameters else {})
    return links


def _refusals(known: list[Operation], names: dict[type, Json]) -> Json:
    statuses = sorted({status for operation in known for status in operation.refusals})
    return {str(status): _refusal(status, names) for status in statuses}


def _refusal(status: int, names: dict[type, Json]) -> Json:
    described: Json = {
        "description": HTTPStatus(status).phrase,
        "content": {problems.MEDIA_TYPE: {"schema": names[ProblemBody]}},
    }
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        described["headers"] = {
            "Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 0}}
        }
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        required = status == HTTPStatus.UNAUTHORIZED  # a page of another origin has no key to mend
        described["headers"] = {
            "WWW-Authenticate": {"required": required, "schema": {"type": "string"}}
        }
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
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
