"""What can be asked about schedules, and done to them."""

from __future__ import annotations

from typing import Final

from unlost.access.keys import KeyScope
from unlost.api.openapi.operation import Answer, Body, Operation
from unlost.api.openapi.parameters import ACTED_BY, LIMIT
from unlost.api.openapi.schemas import schedules as schemas
from unlost.api.openapi.schemas.acts import ActRequest
from unlost.api.openapi.schemas.fields import OWN_ID
from unlost.api.openapi.schemas.tasks import KnownBody, TaskBody
from unlost.api.request import members, query
from unlost.api.request.query import Parameter
from unlost.asked.checks import Wrong

_SCHEDULE: Final = Answer("The schedule.", schemas.ScheduleBody)
_PATH: Final = "/schedules/{scheduleId}"

CURSOR: Final = "after:"
"""With what a cursor begins, before the last schedule's id."""


def _after(text: str) -> str:
    """The id after which a page begins."""
    if not text.startswith(CURSOR):
        raise Wrong("is not a cursor of this list")
    return members.own_id(text.removeprefix(CURSOR))


AFTER: Final = Parameter(
    "cursor",
    "The `nextCursor` of the page before.",
    {"type": "string", "pattern": OWN_ID.replace("^", f"^{CURSOR}")},
    _after,
    "",
)
INCLUDE: Final = Parameter(
    "include",
    "`ticks`: the newest of the times that were due, and what each came to.",
    {"type": "array", "items": {"type": "string", "enum": ["ticks"]}, "minItems": 1},
    query.some_of(["ticks"]),
    frozenset(),
)
INCLUDE_PAYLOAD: Final = Parameter(
    "include",
    "`payload`: with the payloads.",
    {"type": "array", "items": {"type": "string", "enum": ["payload"]}, "minItems": 1},
    query.some_of(["payload"]),
    frozenset(),
)
DRY_RUN: Final = Parameter(
    "dryRun",
    "`true`: answer with what the schedule would be, and change nothing.",
    {"type": "string", "enum": ["false", "true"], "default": "false"},
    lambda text: query.one_of(["false", "true"])(text) == "true",
    False,
)

LIST: Final = Operation(
    "GET",
    "/schedules",
    "listSchedules",
    "List schedules, by id.",
    {200: Answer("A page of schedules.", schemas.SchedulesBody, cursor="/nextCursor")},
    query=(LIMIT, AFTER, INCLUDE_PAYLOAD),
)
SHOW: Final = Operation(
    "GET",
    _PATH,
    "getSchedule",
    "Show a schedule and its next times.",
    {200: _SCHEDULE},
    query=(INCLUDE,),
    refused=(404,),
)
SET: Final = Operation(
    "PUT",
    _PATH,
    "setSchedule",
    "Make a schedule, or make it another. What changes nothing does nothing.",
    {200: Answer("The schedule, which was there.", schemas.ScheduleBody),
     201: Answer("The schedule, which is new.", schemas.ScheduleBody, headers=("Location",))},
    body=Body(schemas.NewSchedule),
    query=(DRY_RUN,),
    refused=(404, 409),
    scope=KeyScope.OPERATE,
)  # fmt: skip
DELETE: Final = Operation(
    "DELETE",
    _PATH,
    "deleteSchedule",
    "Delete a schedule; one that is not there stays so. Its tasks stay.",
    {204: Answer("It is not there.", media_type=None)},
    query=ACTED_BY,
    refused=(404, 422),
    scope=KeyScope.OPERATE,
)
RUN: Final = Operation(
    "POST",
    f"{_PATH}/run",
    "runSchedule",
    "Submit its task now, whatever its times say.",
    {202: Answer("The task, which is new.", TaskBody, headers=("Location",)),
     200: Answer("The task, which was there.", TaskBody, headers=("Idempotent-Replayed",),
                 to_others=KnownBody)},
    body=Body(schemas.NewRun, required=False),
    refused=(404, 409),
    scope=KeyScope.OPERATE,
)  # fmt: skip
PAUSE: Final = Operation(
    "POST",
    f"{_PATH}/pause",
    "pauseSchedule",
    "Let no time of it come to a task until it is resumed.",
    {200: _SCHEDULE},
    body=Body(ActRequest, required=False),
    refused=(404,),
    scope=KeyScope.OPERATE,
)
RESUME: Final = Operation(
    "POST",
    f"{_PATH}/resume",
    "resumeSchedule",
    "Let its times come to tasks again. What has passed meanwhile is not missed.",
    {200: _SCHEDULE},
    body=Body(ActRequest, required=False),
    refused=(404, 409),
    scope=KeyScope.OPERATE,
)
