"""The account: what was submitted against what the ledger, the journal and the probe say.

Pure.  Each promise is checked on its own, and none of the checks trusts the ledger alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from unlost.prove import findings
from unlost.prove.causes import Known
from unlost.prove.course import REPORT_PATIENCE, Evidence, Plan
from unlost.prove.fates import MEANING, Fate
from unlost.prove.journal import Kind
from unlost.prove.probing import Finding
from unlost.prove.report import (
    BLIND_SPOTS,
    VERSION,
    Broken,
    Cause,
    Deaths,
    Effects,
    Injections,
    Report,
    Sums,
    Verdict,
)
from unlost.task import SECOND, TERMINAL, Outcome, Record, State

FORGOTTEN = 10 * SECOND
"""How long a task may be due while nothing happens at all."""

REPORTED_WITHIN = round(REPORT_PATIENCE * SECOND)

LISTED = 50
"""Ids of one kind of death that are listed."""


def account(
    plan: Plan, evidence: Evidence, probed: Sequence[Finding] | None, command: str
) -> Report:
    """Draw up the account.  `probed` is None where there is no probe."""
    known = Known(evidence.notes)
    records = {entry.record.task_id: entry.record for entry in evidence.entries}
    effects = findings.effects(plan, records, known, probed)
    broken = list(_broken(plan, evidence, known, records))
    sums = _sums(plan, evidence, records)
    return Report(
        version=VERSION,
        verdict=_verdict(broken, sums, effects),
        handler=plan.handler,
        seed=plan.seed,
        command=command,
        seconds=round(evidence.seconds, 1),
        sums=sums,
        attempts=_attempts(records, known),
        injections=_injections(evidence, known),
        effects=effects,
        deaths=_deaths(records),
        broken=broken,
        blind_spots=BLIND_SPOTS,
    )


def _verdict(broken: Sequence[Broken], sums: Sums, effects: Effects) -> Verdict:
    if broken:
        return Verdict.BROKEN
    if sums.unfinished:
        return Verdict.UNFINISHED
    if effects.repeated:
        return Verdict.DUPLICATES
    return Verdict.PROBE_FAILED if effects.probe_faults else Verdict.PASSED


def _sums(plan: Plan, evidence: Evidence, records: dict[str, Record]) -> Sums:
    states = Counter(records[one].state for one in plan.task_ids if one in records)
    absent = {one for one in plan.task_ids if one not in records}
    lost = len(absent & evidence.acknowledged)
    return Sums(
        submitted=len(plan.jobs),
        succeeded=states[State.SUCCEEDED],
        dead=states[State.DEAD],
        cancelled=states[State.CANCELLED],
        unfinished=len(plan.jobs) - lost - sum(states[state] for state in TERMINAL),
        lost=lost,
    )


def _attempts(records: dict[str, Record], known: Known) -> dict[str, int]:
    causes = Counter(
        known.cause(record.task_id, attempt)
        for record in records.values()
        for attempt in record.attempts
    )
    return {cause.value: causes[cause] for cause in Cause}


def _injections(evidence: Evidence, known: Known) -> Injections:
    struck = Counter(known.struck.values())
    return Injections(
        attempts={fate.value: struck[fate] for fate in MEANING if fate is not Fate.NONE},
        restarts=known.restarts,
        late_settlements_refused=len(known.late[Kind.REFUSED]),
        submit_answers_lost=evidence.answers_lost,
    )


def _deaths(records: dict[str, Record]) -> list[Deaths]:
    by_type: dict[str, list[Record]] = {}
    for record in records.values():
        if record.state is State.DEAD and record.error is not None:
            by_type.setdefault(record.error.type, []).append(record)
    return [
        Deaths(kind, _message(dead[0]), len(dead), [one.task_id for one in dead[:LISTED]])
        for kind, dead in sorted(by_type.items(), key=lambda item: -len(item[1]))
    ]


def _message(record: Record) -> str:
    return "" if record.error is None else record.error.message


# Promises


def _broken(
    plan: Plan, evidence: Evidence, known: Known, records: dict[str, Record]
) -> Iterator[Broken]:
    yield from _submitting(plan, evidence, records)
    for one in evidence.audit.violations:
        yield Broken(one.promise, one.task_id, one.detail)
    for record in records.values():
        yield from _settling(record, known)
    yield from _ending(evidence, records)
    yield from _running(records, known)
    for status in evidence.crashes:
        yield Broken("the service goes on", None, f"it ended by itself, with status {status}")


def _submitting(plan: Plan, evidence: Evidence, records: dict[str, Record]) -> Iterator[Broken]:
    """What was acknowledged is there, and a task that comes again is the same task."""
    for task_id in plan.task_ids:
        if task_id in evidence.acknowledged and task_id not in records:
            detail = "it was acknowledged, and the ledger does not know it"
            yield Broken("nothing is lost", task_id, detail)
    for refusal in evidence.refusals:
        detail = f"it was refused: {refusal.status} {refusal.detail}"
        yield Broken("one task per id", refusal.task_id, detail)
    for task_id in evidence.new_at_replay:
        detail = "it was in already, and was taken for a new one"
        yield Broken("one task per id", task_id, detail)


def _settling(record: Record, known: Known) -> Iterator[Broken]:
    """Success is a handler that returned, and only the attempt that runs may settle a task."""
    for attempt in record.attempts:
        key = (record.task_id, attempt.number)
        if attempt.outcome is Outcome.SUCCEEDED and key not in known.returned:
            detail = f"attempt {attempt.number} succeeded, and its handler never returned"
            yield Broken("success means that the handler returned", record.task_id, detail)
        if key in known.late[Kind.HELD]:
            detail = f"attempt {attempt.number} had lost its lease, and its settlement held"
            yield Broken("settled by exactly one attempt", record.task_id, detail)


def _ending(evidence: Evidence, records: dict[str, Record]) -> Iterator[Broken]:
    """What can go on goes on, and no death is silent."""
    now = evidence.ended_at
    idle = now - max((record.updated_at for record in records.values()), default=now)
    for record in records.values():
        silent = record.state is State.DEAD and record.task_id not in evidence.reported
        if silent and now - record.updated_at > REPORTED_WITHIN:
            yield Broken("dead letters are reported", record.task_id, "no line says that it died")
        if record.state in (State.QUEUED, State.RETRYING) and record.due_at is not None:
            late = min(now - record.due_at, idle)
            if late > FORGOTTEN:
                detail = f"for {late / SECOND:.0f} s it was due and nothing else ran"
                yield Broken("every task ends", record.task_id, detail)


def _running(records: dict[str, Record], known: Known) -> Iterator[Broken]:
    """Each run of the handler is an attempt that the ledger has counted, and counted once."""
    for task_id, number in known.began:
        record = records.get(task_id)
        if record is None or number not in {one.number for one in record.attempts}:
            detail = f"the handler ran for attempt {number}, which the ledger does not know"
            yield Broken("attempts are counted before they run", task_id, detail)
    for task_id, number in sorted(known.began_again):
        detail = f"the handler ran more than once for attempt {number}"
        yield Broken("an attempt is one run", task_id, detail)
