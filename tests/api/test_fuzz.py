"""The API is called with what its own document allows and forbids, made up from a fixed seed."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import (
    allow_header_conformance,
    negative_data_rejection,
    positive_data_acceptance,
)
from schemathesis.config import SchemathesisConfig

from unlost.api.app import create_app
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings

EXAMPLES = 60
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
APP = create_app(MemoryLedger(wall_clock), Settings())
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP, config=CONFIG).exclude(path="/events")
NDJSON = "application/x-ndjson"


@schemathesis.serializer(NDJSON)
def ndjson(ctx: schemathesis.SerializationContext, value: object) -> bytes:
    """A text as it is, anything else as one line."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent_is_answered_as_documented(case: schemathesis.Case[Any]) -> None:
    # A path that is both another route and a task's id allows the methods of both.
    passed_over = [allow_header_conformance]
    if "cursor" in case.query:
        passed_over.append(positive_data_acceptance)  # no schema can say which cursors there are
    if case.media_type == NDJSON:
        passed_over.append(negative_data_rejection)  # a bad line rejects only itself
    case.call_and_validate(excluded_checks=passed_over)
