"""What clients know of answers is all that the service's document says of them."""

from __future__ import annotations

from itertools import chain

import msgspec
import pytest

from unlost.api.openapi.schemas import (
    acts,
    redrives,
    scheduled,
    schedules,
    status,
    steps,
    tasks,
    types,
)
from unlost.client import values

SAME: list[tuple[type[msgspec.Struct], tuple[type[msgspec.Struct], ...]]] = [
    (values.TaskInfo, (tasks.TaskBody, tasks.ItemBody, tasks.KnownBody)),
    (values.AttemptInfo, (tasks.AttemptBody,)),
    (values.ErrorInfo, (tasks.ErrorBody,)),
    (values.ActInfo, (acts.ActBody,)),
    (values.StepInfo, (steps.StepBody,)),
    (values.WhyInfo, (tasks.WaitBody,)),
    (values.TickOf, (scheduled.ScheduledBody,)),
    (values.SubmitResult, (tasks.BatchResult,)),
    (values.RedriveInfo, (redrives.RedriveBody,)),
    (values.ScheduleInfo, (schedules.ScheduleBody,)),
    (values.TickInfo, (schedules.TickBody,)),
    (values.TypeInfo, (types.TypeBody,)),
    (values.BreakerInfo, (types.BreakerBody,)),
    (values.PauseInfo, (types.PauseBody,)),
    (values.Stats, (status.StatsBody,)),
    (values.TaskEvent, (status.EventBody,)),
    (values.Lagged, (status.LaggedBody,)),
]


def names(kind: type[msgspec.Struct]) -> set[str]:
    return set(kind.__struct_encode_fields__)


@pytest.mark.parametrize(("known", "told"), SAME, ids=lambda one: getattr(one, "__name__", ""))
def test_every_member_is_known(
    known: type[msgspec.Struct], told: tuple[type[msgspec.Struct], ...]
) -> None:
    assert set(chain.from_iterable(map(names, told))) - names(known) == set()


def test_every_member_of_a_task_is_known_in_typescript() -> None:
    from tests.docs.pages import ROOT

    source = (ROOT / "clients" / "typescript" / "src" / "types.ts").read_text()
    missing = names(tasks.TaskBody) - {
        line.strip().removeprefix("readonly ").partition(":")[0].rstrip("?")
        for line in source.splitlines()
    }
    assert missing == set()
