"""`/metrics`: what the ledger counts, and what all processes on it have measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from unlost.api.answers import rendering
from unlost.api.answers.exposition import Family, Labels, Sample, text, wanted
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import status as op
from unlost.ledger.measured import Measured
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Counts
from unlost.limits.control import Control
from unlost.outbox.opening import open_outbox
from unlost.outbox.store import NoOutbox, OutboxUnavailable
from unlost.redrive import GOING, Redrive, RedriveState
from unlost.schedule.schedule import Due
from unlost.task import SECOND, Micros, State
from unlost.telemetry.measures import Measures, OfCall, OfType

REDRIVES: Final = 20
"""Open redrives that a scrape looks at, oldest first."""

TYPES: Final = 100
"""Types with rates that are named, so that labels stay few."""


class Metrics:
    """The metrics of a service, the same from each of its API processes.

    `clock` is the time of day, `outbox` the URL of one that is relayed here, if any.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], Micros], outbox: str = "") -> None:
        self._ledger = ledger
        self._clock = clock
        self._outbox = outbox

    def routes(self) -> list[Route]:
        """What leads here."""
        return [Route(op.METRICS, responding(self.show))]

    async def show(self, request: Request) -> Response:
        """The metrics in the form that the scraper asks for."""
        families = counted(await self._ledger.counts(), self._clock())
        families.append(redrives(await self._ledger.count_redrives()))
        families.append(still(await self._oldest_redrives(), self._clock()))
        families.append(rates(await self._ledger.controls()))
        families.append(late(await self._ledger.due_schedules(0)))
        if isinstance(self._ledger, Measured):
            families += measured(await self._ledger.sum_measures())
        if self._outbox:
            families += await asyncio.to_thread(outbox_of, self._outbox)
        form = wanted(",".join(request.headers.getlist("accept")))
        headers = {**rendering.NO_SNIFFING, "Content-Type": form.content_type, "Vary": "Accept"}
        return Response(text(families, form), headers=headers)

    async def _oldest_redrives(self) -> list[Redrive]:
        places = await self._ledger.open_redrives(REDRIVES)
        found = [await self._ledger.get_redrive(redrive_id) for _, redrive_id in places]
        return [one for one in found if one is not None]


def counted(counts: Counts, now: Micros) -> list[Family]:
    """What the ledger itself counts: exact, and written with the tasks."""
    waiting = 0.0 if counts.oldest_due is None else max(0, now - counts.oldest_due) / SECOND
    states = [Sample(counts.states.get(s, 0), (("state", s.value),)) for s in State]
    return [
        Family(
            "unlost_tasks_submitted_total", "counter", "Tasks accepted.", [Sample(counts.accepted)]
        ),
        Family(
            "unlost_tasks_settled_total",
            "counter",
            "Times that a task came to its end.",
            [Sample(counts.settled)],
        ),
        Family("unlost_tasks", "gauge", "Tasks by state.", states),
        Family(
            "unlost_lost_tasks", "gauge", "Tasks accepted and in no state.", [Sample(counts.lost)]
        ),
        Family(
            "unlost_oldest_waiting_seconds",
            "gauge",
            "How long the oldest due task has waited.",
            [Sample(waiting)],
        ),
        Family(
            "unlost_workers", "gauge", "Worker processes that are alive.", [Sample(counts.workers)]
        ),
        Family(
            "unlost_unhandled_types",
            "gauge",
            "Types with due tasks that no living worker takes.",
            [Sample(len(counts.unhandled))],
        ),
    ]


def late(due: Due) -> Family:
    """How schedules stand."""
    return Family(
        "unlost_schedule_late_seconds",
        "gauge",
        "How late the tick is that has been due longest and is not made yet.",
        [Sample(due.late)],
    )


def redrives(counts: dict[RedriveState, int]) -> Family:
    """What the ledger keeps of redrives."""
    states = [Sample(counts.get(state, 0), (("state", state.value),)) for state in RedriveState]
    return Family("unlost_redrives", "gauge", "Redrives by state.", states)


def still(oldest: Sequence[Redrive], now: Micros) -> Family:
    """How long a redrive has done nothing that still is to go on: nothing of it ended, or went."""
    moved = [one.updated_at for one in oldest if one.state in GOING]
    return Family(
        "unlost_redrive_still_seconds",
        "gauge",
        "How long the redrive has not moved that has stood still for longest.",
        [Sample(max(0, now - min(moved, default=now)) / SECOND)],
    )


def rates(controls: Sequence[Control]) -> Family:
    """Which rates people have set."""
    found = [
        Sample(limit, (("type", control.type), ("of", of)))
        for control in [one for one in controls if one.paced][:TYPES]
        for of, limit in (("type", control.rate), ("key", control.key_rate))
        if limit is not None
    ]
    return Family("unlost_type_rate", "gauge", "Starts a second that are set for a type.", found)


def outbox_of(url: str) -> list[Family]:
    """How many rows an outbox has, and how old the oldest is; nothing while it cannot be read."""
    outbox = open_outbox(url)
    try:
        status = outbox.status()
    except (NoOutbox, OutboxUnavailable):  # the relay says so
        return []
    finally:
        outbox.close()
    rows = [Sample(number, (("state", state),)) for state, number in status.states.items()]
    return [
        Family("unlost_outbox_rows", "gauge", "Rows of the outbox by state.", rows),
        Family(
            "unlost_outbox_oldest_seconds",
            "gauge",
            "Age of the oldest row that is not relayed yet.",
            [Sample(status.oldest_seconds)],
        ),
    ]


def measured(measures: Measures) -> list[Family]:
    """What processes have measured: a few seconds old, and all but exact."""
    types = [((("type", name),), measures.types[name]) for name in sorted(measures.types)]
    calls = [((("operation", name),), measures.calls[name]) for name in sorted(measures.calls)]
    return [*_of_types(types), *_of_calls(calls), _refused(measures)]


def _refused(measures: Measures) -> Family:
    reasons = sorted(measures.refused.items())
    return Family(
        "unlost_refused_total",
        "counter",
        "Calls, and tasks of batches, that were refused, by the type of the problem.",
        [Sample(number, (("reason", reason),)) for reason, number in reasons],
    )


def _of_types(types: Sequence[tuple[Labels, OfType]]) -> list[Family]:
    outcomes = [
        Sample(number, (*labels, ("outcome", outcome)))
        for labels, seen in types
        for outcome, number in sorted(seen.outcomes.items())
    ]
    return [
        Family("unlost_attempts_total", "counter", "Attempts that ended, by outcome.", outcomes),
        Family(
            "unlost_attempts_excused_total",
            "counter",
            "Failures that were excused, and spent no retry.",
            [Sample(seen.excused, labels) for labels, seen in types if seen.excused],
        ),
        Family(
            "unlost_dead_letters_total",
            "counter",
            "Times that a task died.",
            [Sample(seen.deaths, labels) for labels, seen in types],
        ),
        Family(
            "unlost_queue_wait_seconds",
            "histogram",
            "From when a task was due to when its attempt started.",
            [Sample(seen.waits, labels) for labels, seen in types],
        ),
        Family(
            "unlost_attempt_duration_seconds",
            "histogram",
            "How long handlers ran, where their worker saw the end.",
            [Sample(seen.durations, labels) for labels, seen in types],
        ),
    ]


def _of_calls(calls: Sequence[tuple[Labels, OfCall]]) -> list[Family]:
    statuses = [
        Sample(number, (*labels, ("status", str(status))))
        for labels, seen in calls
        for status, number in sorted(seen.statuses.items())
    ]
    return [
        Family("unlost_http_requests_total", "counter", "Calls answered, by status.", statuses),
        Family(
            "unlost_http_request_duration_seconds",
            "histogram",
            "How long calls took; one that waits or streams takes as long as it was meant to.",
            [Sample(seen.durations, labels) for labels, seen in calls],
        ),
    ]
