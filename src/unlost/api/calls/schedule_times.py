"""The endpoint that shows when a schedule would be due."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from unlost.api.answers import rendering
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import schedule_times as op
from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.openapi.schemas.schedule_times import ScheduleTimesBody, TimeBody, WarningBody
from unlost.api.problems import InvalidQuery, summary
from unlost.api.request import query
from unlost.schedule import times, zones
from unlost.schedule.warnings import warnings
from unlost.task import Micros
from unlost.times import rfc3339


class ScheduleTimes:
    """The endpoint.  `clock` is the time of day."""

    def __init__(self, clock: Callable[[], Micros]) -> None:
        self._clock = clock

    def routes(self) -> list[Route]:
        """What leads here."""
        return [Route(op.TIMES, responding(self.preview))]

    async def preview(self, request: Request) -> Response:
        """The next times of what the query asks for."""
        asked = query.read(request.scope["query_string"], op.TIMES.query)
        most = asked.pop("limit")
        given = {name: value for name, value in asked.items() if value is not None}
        return rendering.answer(_times(given, self._clock(), most))


def _times(given: dict[str, object], now: Micros, most: int) -> ScheduleTimesBody:
    """Raises InvalidQuery."""
    try:
        found = times.parse(given, now)
    except times.BadTimes as bad:
        faults = [FieldError(fault.reason, parameter=fault.member) for fault in bad.faults]
        raise InvalidQuery(summary(faults), errors=faults) from None
    return ScheduleTimesBody(
        found.timezone,
        zones.version(),
        [
            TimeBody(rfc3339(one), times.shown(found, one))
            for one in times.upcoming(found, now, most)
        ],
        [WarningBody(one.kind, one.detail) for one in warnings(found, now)],
    )
