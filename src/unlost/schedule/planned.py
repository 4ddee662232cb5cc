"""The times of a schedule that is kept.

The libraries that know them are imported where a schedule is: who has none does not pay for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlost.schedule.schedule import Plan

if TYPE_CHECKING:
    from unlost.schedule.times import Times


def times_of(plan: Plan) -> Times:
    """When it is due: what was checked when it was set.

    What an installed library does not know any more is found out when it is asked: ValueError.
    """
    from unlost.schedule.times import Cron, Every  # noqa: PLC0415

    if plan.every is not None:
        return Every(plan.every, plan.timezone)
    return Cron(plan.cron or "", plan.timezone)


def tzdata() -> str:
    """The version of the time-zone data."""
    from unlost.schedule.zones import version  # noqa: PLC0415

    return version()
