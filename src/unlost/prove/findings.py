"""What became of the handler's effects: how often each happened, and in which attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from unlost.prove.causes import Known
from unlost.prove.course import Plan
from unlost.prove.probing import Finding
from unlost.prove.report import Effects, Missing, ProbeFault, Repeated, Trial
from unlost.task import Record, State

BY_EFFECT, BY_PROBE, BY_ONCE = "effect", "probe", "once"


def effects(
    plan: Plan, records: Mapping[str, Record], known: Known, probed: Sequence[Finding] | None
) -> Effects:
    """All that is known of the effects."""
    types = {job.task_id: job.type for job in plan.jobs}
    found = probed or ()
    declared = {task_id for task_id, _ in known.effects}
    counted = {one.task_id for one in found if any(one.counts.values())}
    told = {one.task_id for one in found if not one.fault}
    return Effects(
        declared=sum(numbers.total() for numbers in known.effects.values()),
        probed=None if probed is None else len(told),
        repeated=[
            *_counted(types, records, known, known.effects, BY_EFFECT),
            *_by_probe(types, records, known, found),
        ],
        missing=[
            *_missing(types, records, set(types), declared, BY_EFFECT),
            *_missing(types, records, told, counted, BY_PROBE),
        ],
        probe_faults=[ProbeFault(one.task_id, one.fault) for one in found if one.fault],
        steps=sum(numbers.total() for numbers in known.steps.values()),
        steps_repeated=[*_counted(types, records, known, known.steps, BY_ONCE)],
    )


Counted = Mapping[tuple[str, str], Counter[int]]
"""How often each effect of a task happened, by the attempt."""


def _counted(
    types: Mapping[str, str],
    records: Mapping[str, Record],
    known: Known,
    counted: Counted,
    seen_by: str,
) -> Iterator[Repeated]:
    for (task_id, effect), numbers in sorted(counted.items()):
        if numbers.total() > 1:
            trials = [one for one in _trials(records, known, task_id, numbers) if one.times]
            kind = types.get(task_id, "")
            yield Repeated(task_id, kind, effect, numbers.total(), seen_by, trials)


def _by_probe(
    types: Mapping[str, str],
    records: Mapping[str, Record],
    known: Known,
    found: Sequence[Finding],
) -> Iterator[Repeated]:
    for one in found:
        for effect, times in sorted(one.counts.items()):
            if times > 1:
                numbers = known.effects.get((one.task_id, effect), Counter())
                trials = _trials(records, known, one.task_id, numbers)
                kind = types.get(one.task_id, "")
                yield Repeated(one.task_id, kind, effect, times, BY_PROBE, trials)


def _trials(
    records: Mapping[str, Record], known: Known, task_id: str, times: Mapping[int, int]
) -> list[Trial]:
    """The attempts of a task, each with what was injected and how often it had the effect."""
    record = records.get(task_id)
    return [
        Trial(
            attempt.number,
            attempt.outcome or "running",
            known.cause(task_id, attempt),
            known.injected((task_id, attempt.number)),
            times.get(attempt.number, 0),
        )
        for attempt in (record.attempts if record else ())
    ]


def _missing(
    types: Mapping[str, str],
    records: Mapping[str, Record],
    looked_at: set[str],
    have: set[str],
    seen_by: str,
) -> Iterator[Missing]:
    """Tasks that succeeded without any effect, where others of their type have some."""
    usual = {types[task_id] for task_id in have if task_id in types}
    for task_id in sorted(looked_at - have):
        record = records.get(task_id)
        if record and record.state is State.SUCCEEDED and record.type in usual:
            yield Missing(task_id, record.type, seen_by)
