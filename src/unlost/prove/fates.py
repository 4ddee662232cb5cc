"""What is to befall an attempt: decided by the seed, the task's id and the attempt's number alone.

Pure.  The last attempt that a task has is spared what would fail it, so that no task dies of what
was injected into its own attempts.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from unlost.chance import fraction


class Fate(StrEnum):
    """What is injected into an attempt."""

    NONE = "none"
    FAILED_BEFORE = "failedBefore"
    FAILED_AFTER = "failedAfter"
    KILLED_BEFORE = "killedBefore"
    KILLED_DURING = "killedDuring"
    KILLED_AT_EFFECT = "killedAtEffect"
    KILLED_AFTER = "killedAfter"
    OVERTAKEN_BEFORE = "overtakenBefore"
    OVERTAKEN_AFTER = "overtakenAfter"
    ANSWER_LOST = "answerLost"
    TREE_KILLED = "treeKilled"


MEANING = {
    Fate.NONE: "nothing",
    Fate.FAILED_BEFORE: "failed before the handler ran",
    Fate.FAILED_AFTER: "failed after the handler ran: its outcome was thrown away",
    Fate.KILLED_BEFORE: "worker killed (-9) before the handler ran",
    Fate.KILLED_DURING: "worker killed (-9) while the handler ran",
    Fate.KILLED_AT_EFFECT: "worker killed (-9) right after an effect, or before a step's record",
    Fate.KILLED_AFTER: "worker killed (-9) after the handler ran, before its settlement",
    Fate.OVERTAKEN_BEFORE: "lease taken away, then run beside the next attempt",
    Fate.OVERTAKEN_AFTER: "lease taken away while it ran, its settlement came too late",
    Fate.ANSWER_LOST: "the answer to its settlement was lost",
    Fate.TREE_KILLED: "all processes killed (-9) after the handler ran",
}

FAILURES = (Fate.FAILED_BEFORE, Fate.FAILED_AFTER)
KILLS = (Fate.KILLED_BEFORE, Fate.KILLED_DURING, Fate.KILLED_AT_EFFECT, Fate.KILLED_AFTER)
OVERTAKINGS = (Fate.OVERTAKEN_BEFORE, Fate.OVERTAKEN_AFTER)


class Rates(msgspec.Struct, frozen=True):
    """The share of attempts that each kind of injection befalls; together at most 1.

    `duplicates` is of first attempts only: after one, the next attempt runs alone in its process,
    and nothing would be there to overtake it soon.
    """

    failures: float = 0.15
    kills: float = 0.1
    duplicates: float = 0.1
    lost_answers: float = 0.1

    @property
    def total(self) -> float:
        return self.failures + self.kills + self.duplicates + self.lost_answers


def fate(seed: int, task_id: str, number: int, rates: Rates) -> Fate:
    """What is to befall this attempt, should it not be the task's last."""
    draw = fraction(seed, "fate", task_id, number)
    for rate, kinds in (
        (rates.failures, FAILURES),
        (rates.kills, KILLS),
        (rates.duplicates, OVERTAKINGS if number == 1 else (Fate.NONE,)),
        (rates.lost_answers, (Fate.ANSWER_LOST,)),
    ):
        if draw < rate:
            return kinds[int(draw / rate * len(kinds))]
        draw -= rate
    return Fate.NONE


def spared(fate: Fate, *, last: bool) -> Fate:
    """The fate, unless it would fail the last attempt that a task has."""
    return Fate.NONE if last and fate is not Fate.ANSWER_LOST else fate


def tree_killers(seed: int, task_ids: list[str], count: int) -> tuple[str, ...]:
    """The tasks in whose first attempt all processes are killed."""
    by_chance = sorted(task_ids, key=lambda task_id: fraction(seed, "tree", task_id))
    return tuple(by_chance[:count])
