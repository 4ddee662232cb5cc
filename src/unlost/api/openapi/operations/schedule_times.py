"""What can be asked about times before there is a schedule."""

from __future__ import annotations

from unlost.api.openapi.operation import Answer, Operation
from unlost.api.openapi.schemas import schedule_times as schemas
from unlost.api.request import query
from unlost.api.request.query import Parameter
from unlost.asked import checks
from unlost.schedule.bounds import DEFAULT_ZONE, MAX_CRON, MAX_EVERY

CRON = Parameter(
    "cron",
    "A cron expression of five fields, or one of `@hourly` … `@yearly`.",
    {"type": "string", "minLength": 1, "maxLength": MAX_CRON},
    checks.text(1, MAX_CRON),
)
EVERY = Parameter(
    "every",
    "Seconds: due at their multiples since 1970.",
    {"type": "integer", "minimum": 1, "maximum": MAX_EVERY},
    query.whole(1, MAX_EVERY),
)
TIMEZONE = Parameter(
    "timezone",
    "Whose clock: a name of the tz database.",
    {"type": "string", "minLength": 1, "maxLength": 100, "default": DEFAULT_ZONE},
    checks.text(1, 100),
    DEFAULT_ZONE,
)
LIMIT = Parameter(
    "limit",
    "How many times.",
    {
        "type": "integer",
        "minimum": 1,
        "maximum": schemas.MOST_TIMES,
        "default": schemas.FEW_TIMES,
    },
    query.whole(1, schemas.MOST_TIMES),
    schemas.FEW_TIMES,
)

TIMES = Operation(
    "GET",
    "/schedule-times",
    "previewScheduleTimes",
    "Show when a schedule would be due; give either `cron` or `every`.",
    {200: Answer("Its next times.", schemas.ScheduleTimesBody)},
    query=(CRON, EVERY, TIMEZONE, LIMIT),
)
