"""The parameters of the API's queries, each once."""

from __future__ import annotations

from typing import Any, Final

from unlost.api.openapi.schemas.acts import MAX_REASON
from unlost.api.openapi.schemas.fields import NO_CONTROL, OWN_ID
from unlost.api.openapi.schemas.tasks import MAX_PAGE, MAX_WAIT
from unlost.api.request import members, query
from unlost.api.request.query import Parameter
from unlost.asked import checks
from unlost.task import MAX_ID, MAX_TYPE, State

PARTS: Final = ("payload", "result", "attempts", "traceback")
AND_WHY: Final = (*PARTS, "why")

_TIME: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}


def _text(shortest: int, longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": shortest, "maxLength": longest}


WAIT = Parameter(
    "wait",
    "Seconds to wait for the task's end before answering.",
    {"type": "number", "minimum": 0, "maximum": MAX_WAIT, "default": 0},
    query.number(0, MAX_WAIT),
    0.0,
)
STATE = Parameter(
    "state",
    "Only tasks in this state.",
    {"type": "string", "enum": [state.value for state in State]},
    lambda text: State(query.one_of(State)(text)),
)
TYPE = Parameter(
    "type",
    "Only tasks of this type.",
    {**_text(1, MAX_TYPE), "pattern": NO_CONTROL},
    checks.type_name,
)
ID_PREFIX = Parameter(
    "idPrefix",
    "Only tasks whose id begins so.",
    _text(0, MAX_ID),
    checks.text(0, MAX_ID),
    "",
)
PARENT = Parameter(
    "parent",
    "Only tasks that this one's handler submitted with its success.",
    _text(1, MAX_ID),
    checks.text(1, MAX_ID),
)
SINCE = Parameter("since", "Only tasks submitted then or later.", _TIME, query.instant)
UNTIL = Parameter("until", "Only tasks submitted before then.", _TIME, query.instant)
ERROR = Parameter(
    "error",
    "Only dead letters with this error: a fingerprint or an error type.",
    _text(1, MAX_ID),
    checks.text(1, MAX_ID),
)
INCLUDE = Parameter(
    "include",
    f"Which big members the tasks have: any of {', '.join(PARTS)}, with commas between.",
    {"type": "array", "items": {"type": "string", "enum": list(PARTS)}, "minItems": 1},
    query.some_of(PARTS),
    frozenset(),
)
INCLUDE_WHY = Parameter(
    "include",
    f"What else the tasks have: any of {', '.join(AND_WHY)}, with commas between.",
    {"type": "array", "items": {"type": "string", "enum": list(AND_WHY)}, "minItems": 1},
    query.some_of(AND_WHY),
    frozenset(),
)
INCLUDE_STEPS = Parameter(
    "include",
    "What else the task has: steps, for what its steps returned.",
    {"type": "array", "items": {"type": "string", "enum": ["steps"]}, "minItems": 1},
    query.some_of(("steps",)),
    frozenset(),
)
LIMIT = Parameter(
    "limit",
    "The most on the page.",
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50},
    query.whole(1, MAX_PAGE),
    50,
)
CURSOR = Parameter(
    "cursor", "The `nextCursor` of the page before.", _text(1, 1_000), checks.text(1, 1_000)
)
BY = Parameter("by", "Who does this.", _text(0, MAX_REASON), members.reason)
REASON = Parameter("reason", "Why this is done.", _text(0, MAX_REASON), members.reason)
ACTED_BY: Final = (BY, REASON)
ONCE = Parameter(
    "id",
    "The caller's name for this call: sent again with the same, it is done once.",
    {"type": "string", "pattern": OWN_ID},
    members.own_id,
)
