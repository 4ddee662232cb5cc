"""What a proof says: values, made of JSON alone.  The names are the JSON report's, and stay."""

from __future__ import annotations

from enum import StrEnum

import msgspec

VERSION = 1
"""Of the report's shape; a new member does not change it."""


class Cause(StrEnum):
    """Why an attempt ended as it did."""

    SUCCEEDED = "succeeded"
    FAILED_BY_ITSELF = "failedByItself"
    FAILED_BY_INJECTION = "failedByInjection"
    TIMED_OUT = "timedOut"
    LOST_TO_KILL = "lostToKill"
    LOST_WITH_NEIGHBOUR = "lostWithNeighbour"
    LOST_TO_RESTART = "lostToRestart"
    LOST_LEASE = "lostLease"
    LOST_BY_ITSELF = "lostByItself"
    RELEASED = "released"
    CANCELLED = "cancelled"
    RUNNING = "running"


CAUSES = {
    Cause.SUCCEEDED: "succeeded",
    Cause.FAILED_BY_ITSELF: "failed by an error of the handler's own",
    Cause.FAILED_BY_INJECTION: "failed by injection",
    Cause.TIMED_OUT: "timed out",
    Cause.LOST_TO_KILL: "lost: its worker was killed",
    Cause.LOST_WITH_NEIGHBOUR: "lost: its worker was killed for another attempt",
    Cause.LOST_TO_RESTART: "lost: all processes were killed",
    Cause.LOST_LEASE: "lost: its lease was taken away",
    Cause.LOST_BY_ITSELF: "lost, though nothing was injected: did its process end?",
    Cause.RELEASED: "released",
    Cause.CANCELLED: "cancelled",
    Cause.RUNNING: "still running",
}


class Verdict(StrEnum):
    """What a proof comes to; the first that holds."""

    BROKEN = "broken"
    UNFINISHED = "unfinished"
    DUPLICATES = "duplicates"
    PROBE_FAILED = "probeFailed"
    PASSED = "passed"


class Sums(msgspec.Struct, frozen=True):
    """submitted = succeeded + dead + cancelled + unfinished + lost."""

    submitted: int
    succeeded: int
    dead: int
    cancelled: int
    unfinished: int
    lost: int


class Injections(msgspec.Struct, frozen=True, rename="camel"):
    """What was done to the service: to attempts (by fate), to it as a whole, to the client."""

    attempts: dict[str, int]
    restarts: int
    late_settlements_refused: int
    submit_answers_lost: int


class Trial(msgspec.Struct, frozen=True):
    """An attempt in a finding.  `times` is how often the effect was declared in it."""

    number: int
    outcome: str
    cause: Cause
    injected: str
    times: int


class Repeated(msgspec.Struct, frozen=True, rename="camel"):
    """An effect that happened more than once for one task.  `seen_by` is "effect", "probe" or
    "once"."""

    task_id: str
    type: str
    effect: str
    times: int
    seen_by: str
    attempts: list[Trial]


class Missing(msgspec.Struct, frozen=True, rename="camel"):
    """A task that succeeded and has none of the effects that others of its type have."""

    task_id: str
    type: str
    seen_by: str


class Effects(msgspec.Struct, frozen=True, rename="camel"):
    """`declared` counts the calls of `task.effect`, `probed` the tasks that the probe told of.

    `steps` counts how often functions of `task.once` ran to their end, and `steps_repeated` are
    those that did more than once for a task: with one idempotency key, so that they are no
    duplicates to who knows it.
    """

    declared: int
    probed: int | None
    repeated: list[Repeated]
    missing: list[Missing]
    probe_faults: list[ProbeFault]
    steps: int = 0
    steps_repeated: list[Repeated] = []


class ProbeFault(msgspec.Struct, frozen=True, rename="camel"):
    """A task of which the probe could not tell."""

    task_id: str
    detail: str


class Deaths(msgspec.Struct, frozen=True, rename="camel"):
    """Tasks that died of the same kind of error; `sample` is one of its messages."""

    error_type: str
    sample: str
    count: int
    task_ids: list[str]


class Broken(msgspec.Struct, frozen=True, rename="camel"):
    """A promise that was not kept."""

    promise: str
    task_id: str | None
    detail: str


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """The whole of it.  `command` repeats the proof."""

    version: int
    verdict: Verdict
    handler: str
    seed: int
    command: str
    seconds: float
    sums: Sums
    attempts: dict[str, int]
    injections: Injections
    effects: Effects
    deaths: list[Deaths]
    broken: list[Broken]
    blind_spots: list[str]


BLIND_SPOTS = [
    "Effects that are neither declared with task.effect nor told of by the probe.",
    "What happens between an effect and the call that declares it: only a probe sees that.",
    "Whether the other side honours the keys of steps that ran again: only a probe sees that.",
    "Whether an effect was right. Only how often it happened is counted.",
    "A loss of the machine's power, a full or broken disk, a clock that is set.",
    "Other homes than SQLite on this machine: other networks, other timing.",
    "Other timing: the seed fixes what is injected into which attempt, not how processes are run.",
    "What depends on which attempts happened to run beside one that was killed.",
    "Real waits: backoff, leases and what Retry asks for are cut short.",
    "Anything rarer than what this many tasks show. Other seeds and more tasks show more.",
]


def repeaters(report: Report) -> int:
    """How many tasks have an effect that happened more than once."""
    return len({one.task_id for one in report.effects.repeated})


def summary(report: Report) -> str:
    """The verdict in one sentence."""
    effects = report.effects
    if report.verdict is Verdict.BROKEN:
        return f"Promises were broken: {len(report.broken)}."
    if report.verdict is Verdict.UNFINISHED:
        return f"Not all had ended within the time limit: {report.sums.unfinished} tasks had not."
    if report.verdict is Verdict.DUPLICATES:
        return f"Every promise held. Tasks with an effect that was repeated: {repeaters(report)}."
    if report.verdict is Verdict.PROBE_FAILED:
        return f"Every promise held. The probe could not tell of {len(effects.probe_faults)} tasks."
    if effects.declared or effects.probed:
        told = "Every promise held, and no effect was seen more than once."
    elif effects.steps:
        told = "Every promise held. Besides steps of task.once no effect was declared or probed."
    else:
        told = "Every promise held. No effect was declared or probed, so none was looked at."
    again = len(effects.steps_repeated)
    return f"{told} Steps that ran again, under the same key: {again}." if again else told


def failure(report: Report, *, allow_duplicates: bool) -> str | None:
    """Why the proof counts as failed, None if it does not."""
    repeated, faults = repeaters(report), len(report.effects.probe_faults)
    if report.broken:
        return "a promise is broken"
    if report.sums.unfinished:
        return f"{report.sums.unfinished} tasks had not ended within the time limit"
    if repeated and not allow_duplicates:
        return f"effects happened more than once, in {repeated} of {report.sums.submitted} tasks"
    return f"the probe could not tell of {faults} tasks" if faults else None
