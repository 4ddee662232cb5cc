"""What can be asked about the service as a whole."""

from __future__ import annotations

from unlost.access.keys import KeyScope
from unlost.api.answers import exposition
from unlost.api.openapi.operation import Answer, Operation
from unlost.api.openapi.schemas import status as schemas
from unlost.audit import Audit

STATS = Operation(
    "GET",
    "/stats",
    "stats",
    "The counters, in one snapshot.",
    {200: Answer("The counters.", schemas.StatsBody)},
    scope=KeyScope.METRICS,
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
    scope=None,
    more_to_known=True,
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
    scope=KeyScope.METRICS,
)
