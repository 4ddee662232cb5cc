"""The table of transitions: nothing is ever stuck, and nothing that is over moves by itself."""

from __future__ import annotations

import re
from pathlib import Path

from unlost.task import TERMINAL, TRANSITIONS, Event, State


def test_the_table_is_the_contracts() -> None:
    lines = sorted(f"{state} {event} {after}" for (state, event), after in TRANSITIONS.items())
    assert lines == [
        "dead discard cancelled",
        "dead redrive queued",
        "queued cancel cancelled",
        "queued claim running",
        "retrying cancel cancelled",
        "retrying claim running",
        "running cancel cancelled",
        "running die dead",
        "running release queued",
        "running retry retrying",
        "running succeed succeeded",
    ]


def test_the_readmes_picture_is_the_table() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    arrows = re.findall(r"^    (\w+) --> (\w+): (\w+)$", readme, re.MULTILINE)
    drawn = sorted(f"{state} {event} {after}" for state, after, event in arrows)
    assert drawn == sorted(
        f"{state} {event} {after}" for (state, event), after in TRANSITIONS.items()
    )


def test_every_state_is_reached_from_queued() -> None:
    reached, before = {State.QUEUED}, set[State]()
    while reached != before:
        before = set(reached)
        reached |= {after for (state, _), after in TRANSITIONS.items() if state in before}
    assert reached == set(State)


def test_every_open_state_can_end_in_each_terminal_one() -> None:
    for start in set(State) - TERMINAL:
        reached, before = {start}, set[State]()
        while reached != before:
            before = set(reached)
            reached |= {after for (state, _), after in TRANSITIONS.items() if state in before}
        assert reached >= TERMINAL


def test_what_is_over_moves_only_by_what_people_do_to_dead_letters() -> None:
    moves = {(state, event) for state, event in TRANSITIONS if state in TERMINAL}
    assert moves == {(State.DEAD, Event.REDRIVE), (State.DEAD, Event.DISCARD)}


def test_only_a_running_attempt_is_settled() -> None:
    settling = (Event.SUCCEED, Event.RETRY, Event.DIE, Event.RELEASE)
    assert {state for state, event in TRANSITIONS if event in settling} == {State.RUNNING}
