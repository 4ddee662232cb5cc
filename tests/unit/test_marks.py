"""Where claims of a process begin to look, and how long a mark can hide a task."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unlost.ledger.postgres.attempts.marks import (
    BEGINNING,
    LAST,
    LONGEST,
    MOST,
    OFTEN,
    REACHES,
    REST,
    Look,
    Marks,
)
from unlost.task import SECOND, Micros

MAIL = ("mail", 0)
START: Micros = 1_000 * SECOND


class Process:
    """A process with marks, and its time: the ledger's too."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.marks = Marks(lambda: self.seconds)

    @property
    def now(self) -> Micros:
        return START + round(self.seconds * SECOND)

    def claim(self, took: float = 0) -> Any:
        """See that nothing is left; where of `mail` that was looked for."""
        with self.marks.look(None, alone=False) as look:
            self.seconds += took
            self.marks.learn(look, self.now, {MAIL: self.now})
            return since(look)


def since(look: Look) -> Any:
    found = [one["since"] for one in json.loads(look.known) if one["type"] == "mail"]
    return found[0] if found else "in a gap"


@pytest.fixture
def process() -> Process:
    found = Process()
    assert found.claim() == "in a gap"
    return found


def test_a_look_begins_a_little_before_the_last_one(process: Process) -> None:
    process.seconds += REACHES[0] / 2
    assert process.claim() == START - REACHES[0] * SECOND


@pytest.mark.parametrize("level", [1, 2])
def test_now_and_then_a_look_begins_a_good_deal_before(process: Process, level: int) -> None:
    process.marks._rest = LONGEST
    process.seconds += REACHES[level - 1]
    assert process.claim() == START - REACHES[level] * SECOND
    assert process.claim() == process.now - REACHES[0] * SECOND


def test_each_second_there_is_a_look_at_everything(process: Process) -> None:
    process.seconds += OFTEN
    assert process.claim() == BEGINNING
    assert process.claim() == process.now - REACHES[0] * SECOND


def test_looks_at_everything_take_a_share_of_the_time_but_none_waits_for_longer(
    process: Process,
) -> None:
    process.seconds += OFTEN
    took = 0.5
    assert process.claim(took) == BEGINNING
    process.seconds += REST * took - took - 0.1
    assert process.claim() != BEGINNING
    process.seconds += 0.1
    assert process.claim(1000.0) == BEGINNING
    process.seconds += LONGEST
    assert process.claim() == BEGINNING


def test_what_is_made_due_before_a_mark_takes_it_back(process: Process) -> None:
    process.marks.lower("mail", START - 1000 * SECOND)
    process.marks.lower("other", START - 2000 * SECOND)
    assert process.claim() == START - 1000 * SECOND


def test_what_is_made_due_during_a_look_it_may_not_have_seen(process: Process) -> None:
    with process.marks.look(None, alone=False) as look:
        process.marks.lower("mail", START - 1000 * SECOND)
        process.marks.learn(look, process.now, {MAIL: process.now})
    assert process.claim() == START - 1000 * SECOND


def test_a_mark_stays_where_nothing_is_known_of_what_is_left(process: Process) -> None:
    process.seconds += OFTEN / 10
    with process.marks.look(None, alone=False) as look:
        process.marks.learn(look, process.now, {MAIL: None})
    assert process.claim() == START - REACHES[0] * SECOND


def test_a_clock_that_is_set_back_has_everything_looked_at(process: Process) -> None:
    process.seconds -= 3600
    assert process.claim() == BEGINNING
    assert process.claim() == process.now - REACHES[0] * SECOND


def test_known_kinds_and_the_gaps_between_are_all_there_is(process: Process) -> None:
    with process.marks.look(None, alone=False) as look:
        process.marks.learn(look, process.now, {("mail", 5): START, ("a", 0): START})
    known = json.loads(process.marks.glance(None, alone=False))
    edges = [("", -(2**15)), ("a", 0), ("mail", 0), ("mail", 5), (LAST, 2**15 - 1)]
    assert [(one["type"], one["rank"]) for one in known] == edges[:-1]
    assert [(one["next_type"], one["next_rank"]) for one in known] == edges[1:]
    of_mail = json.loads(process.marks.glance(["mail", "new"], alone=False))
    assert [(one["type"], one["rank"], one["since"] is None) for one in of_mail] == [
        ("mail", -(2**15), True), ("mail", 0, False), ("mail", 5, False), ("new", -(2**15), True),
    ]  # fmt: skip
    assert len(json.loads(process.marks.glance(None, alone=True))) == 1


def test_there_are_no_more_marks_than_a_claim_can_carry(process: Process) -> None:
    with process.marks.look(None, alone=False) as look:
        process.marks.learn(look, process.now, {(f"t{n}", 0): START for n in range(2 * MOST)})
    assert len(json.loads(process.marks.glance(None, alone=False))) == MOST + 1
    process.marks.forget()
    assert len(json.loads(process.marks.glance(None, alone=False))) == 1
