"""The times of a schedule that is kept.  Imported only where there are schedules."""

from __future__ import annotations

from unlost.schedule.bounds import DEFAULT_ZONE
from unlost.schedule.schedule import Plan
from unlost.schedule.times import Cron, Every, Times
from unlost.schedule.zones import version as tzdata

__all__ = ["times_of", "tzdata"]


def times_of(plan: Plan) -> Times:
    """When it is due: what was checked when it was set.

    What an installed library does not know any more is found out when it is asked: ValueError.
    """
    if plan.every is not None:
        return Every(plan.every, plan.timezone)
    return Cron(plan.cron or "", plan.timezone or DEFAULT_ZONE)
