"""How schemathesis calls our API, and what its checks cannot know.  All others hold."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import schemathesis
from schemathesis.checks import (
    CheckFunction,
    allow_header_conformance,
    negative_data_rejection,
    positive_data_acceptance,
)
from schemathesis.config import SchemathesisConfig

from unlost.api.app import create_app
from unlost.api.openapi.schemas.tasks import MAX_WAIT
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings

CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 2,
        "generation": {"deterministic": True},
        "phases": {"coverage": {"enabled": True}},
        "checks": {
            "negative_data_rejection": {
                "expected-statuses": [400, 404, 405, 409, 413, 415, 422]  # never a 5xx
            }
        },
    }
)
NDJSON = "application/x-ndjson"
MOMENT = 0.01


def schema() -> schemathesis.BaseSchema:
    """The calls of our own document, as the app serves it; the stream of events never ends."""
    app = create_app(MemoryLedger(wall_clock), Settings(allowed_host=("testserver",), auth="none"))
    document = schemathesis.openapi.from_asgi("/openapi.json", app).raw_schema
    return schemathesis.openapi.from_dict(document, config=CONFIG).exclude(path="/events")


@schemathesis.serializer(NDJSON)
def ndjson(ctx: schemathesis.SerializationContext, value: object) -> bytes:
    """A text as it is, anything else as one line."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


def passed_over(case: schemathesis.Case[Any]) -> list[CheckFunction]:
    """The checks that this call may not be held to."""
    # A path that is both another route and a task's id allows the methods of both.
    found = [allow_header_conformance]
    if "cursor" in case.query:
        found.append(positive_data_acceptance)  # no schema can say which cursors there are
    if case.path == "/schedules/{scheduleId}" and case.method == "PUT":
        found.append(positive_data_acceptance)  # nor which expressions and which zones
    if case.path == "/schedule-times":
        found.append(positive_data_acceptance)  # the same, and one of two parameters
    if case.path == "/attempts/claim":
        found.append(positive_data_acceptance)  # nor that options are of the types it names
    if case.media_type == NDJSON:
        found.append(negative_data_rejection)  # a bad line rejects only itself
    if any(value in ([], {}) for value in case.query.values()):
        found.append(negative_data_rejection)  # a parameter of no value is not even sent
    return found


def hasten(case: schemathesis.Case[Any]) -> None:
    """Let a call that waits for a task's end, or for attempts, wait only a moment: nothing happens
    meanwhile."""
    with suppress(TypeError, ValueError):
        if MOMENT < float(case.query.get("wait", 0)) <= MAX_WAIT:
            case.query["wait"] = str(MOMENT)
    body: Any = case.body
    with suppress(AttributeError, TypeError, ValueError):  # it may be no object, or none
        if MOMENT < float(body.get("wait", 0)) <= MAX_WAIT:
            body["wait"] = MOMENT
