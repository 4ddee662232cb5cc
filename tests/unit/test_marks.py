"""Where claims of a process begin to look, and how long a mark can hide a task."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unlost.ledger.postgres.attempts.marks import (
    BEGINNING,
    CHEAP,
    LAST,
    LONGEST,
    MOST,
    OFTEN,
    REACHES,
    REST,
    Learnt,
    Look,
    Marks,
    Pair,
    Seen,
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

    def claim(self, took: float = 0, *, waited: bool = True, alone: bool = False) -> Any:
        """See that nothing is left; where of `mail` that was looked for."""
        look = self.marks.look(None, alone=alone)
        self.learn(look, {MAIL: Seen(self.now, waited)}, took)
        return since(look)

    def learn(self, look: Look, found: dict[Pair, Seen], took: float = 0) -> None:
        look.learnt = Learnt(self.now, took, found)
        self.marks.end(look, True)

    def fill(self) -> list[str]:
        """Twice as many kinds as there can be marks, of which tasks are due."""
        kinds = {(f"t{n}", 0): Seen(self.now, waited=True) for n in range(2 * MOST)}
        self.learn(self.marks.look(None, alone=False), kinds)
        return self.known()

    def known(self) -> list[str]:
        kept = json.loads(self.marks.glance(None, alone=False))
        return [one["type"] for one in kept if one["since"] is not None]


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
    process.seconds += OFTEN
    assert process.claim(LONGEST) == BEGINNING  # which is dear
    start = process.now
    process.seconds += REACHES[level - 1] * 1.01
    assert process.claim() == start - REACHES[level] * SECOND
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
    process.seconds += REST * took - 0.1
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
    look = process.marks.look(None, alone=False)
    process.marks.lower("mail", START - 1000 * SECOND)
    process.learn(look, {MAIL: Seen(process.now, waited=False)})
    assert process.claim() == START - 1000 * SECOND


def test_what_is_found_but_left_takes_the_mark_back(process: Process) -> None:
    process.seconds += OFTEN
    look = process.marks.look(None, alone=False)
    assert since(look) == BEGINNING
    process.learn(look, {MAIL: Seen(START - 1000 * SECOND, waited=True)})
    assert process.claim() == START - 1000 * SECOND


def test_a_look_at_everything_counts_where_it_saw_something(process: Process) -> None:
    """Of others it is due still."""
    process.seconds += OFTEN
    process.learn(process.marks.look(None, alone=False), {("other", 0): Seen(START, waited=True)})
    assert process.claim() == BEGINNING
    assert process.claim() != BEGINNING


def test_what_was_not_committed_was_not_seen(process: Process) -> None:
    process.seconds += OFTEN
    look = process.marks.look(None, alone=False)
    look.learnt = Learnt(process.now, 0, {MAIL: Seen(process.now, waited=True)})
    at_once = process.marks.look(None, alone=False)
    assert since(at_once) != BEGINNING  # one at a time
    process.marks.end(look, False)
    kept = json.loads(process.marks.glance(["mail"], alone=False))
    assert kept[1]["since"] == START - REACHES[0] * SECOND
    assert process.claim() == BEGINNING


def test_a_commit_that_takes_long_makes_no_look_dear(process: Process) -> None:
    process.seconds += OFTEN
    look = process.marks.look(None, alone=False)
    process.seconds += 3
    process.learn(look, {MAIL: Seen(process.now, waited=True)}, took=0.01)
    process.seconds += OFTEN
    assert process.claim() == BEGINNING


def test_looks_at_something_else_do_not_tell_how_dear_one_is(process: Process) -> None:
    process.seconds += OFTEN
    assert process.claim(1.0) == BEGINNING
    process.claim(alone=True)
    process.seconds += OFTEN
    assert process.claim(alone=True) == BEGINNING
    assert process.claim() != BEGINNING


def test_what_is_parked_may_come_back_as_it_was(process: Process) -> None:
    process.seconds += OFTEN / 10
    look = process.marks.look(None, alone=False)
    process.learn(look, {
        MAIL: Seen(process.now, waited=False, parked=True),
        ("new", 0): Seen(process.now, waited=False, parked=True),
    })  # fmt: skip
    known = json.loads(process.marks.glance(["mail", "new"], alone=False))
    assert [one["since"] for one in known if one["since"] is not None] == [
        START - REACHES[0] * SECOND, BEGINNING,
    ]  # fmt: skip


def test_a_clock_that_is_set_back_has_everything_looked_at(process: Process) -> None:
    process.seconds -= 3600
    assert process.claim() == BEGINNING
    assert process.claim() == process.now - REACHES[0] * SECOND


def test_known_kinds_and_the_gaps_between_are_all_there_is(process: Process) -> None:
    kinds: list[Pair] = [("mail", 5), ("a", 0)]
    look = process.marks.look(None, alone=False)
    process.learn(look, {pair: Seen(START, waited=False) for pair in kinds})
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
    assert len(process.fill()) == MOST
    process.marks.forget()
    assert process.known() == []


def test_a_newcomer_takes_the_place_of_what_was_empty_for_longest(process: Process) -> None:
    process.seconds += 1
    kept = process.fill()
    assert "mail" not in kept
    process.claim(waited=False)
    assert process.known() == kept  # it is of no more use
    process.claim()
    assert process.known() == kept  # nor more than the others, just now
    process.seconds += 1
    process.claim()
    assert "mail" in process.known()
    assert len(process.known()) == MOST


@pytest.mark.parametrize("took", [CHEAP, CHEAP * 2])
def test_what_is_gone_for_long_needs_no_mark_unless_looks_are_dear(
    process: Process, took: float
) -> None:
    while process.seconds < LONGEST - 2 * OFTEN:
        process.seconds += OFTEN
        process.claim(waited=False)
        assert process.known() == ["mail"]
    process.seconds += 3 * OFTEN
    process.claim(took, waited=False)
    assert process.known() == ([] if took == CHEAP else ["mail"])
