"""Whose turn it is to be empty, for a task that has to run alone."""

from __future__ import annotations

import pytest

from unlost.pull.emptying import PATIENCE, TURN, held_back

A_WHILE = 20_000


def turns(workers: list[str], until: int) -> list[tuple[str | None, int]]:
    """Whose turns follow each other, each with its length in those of the first."""
    found, at = [], PATIENCE
    while at < PATIENCE + until * TURN:
        name, left = held_back(at, workers)
        found.append((name, left // TURN))
        assert held_back(at + left - 1, workers) == (name, 1)
        at += left
    return found


def test_nobody_is_held_back_before_a_while_or_where_nobody_is() -> None:
    assert held_back(0, ["a"]) == (None, PATIENCE)
    assert held_back(PATIENCE - 1, ["a"]) == (None, 1)
    assert held_back(A_WHILE * TURN, []) == (None, 0)


def test_one_comes_after_the_other_and_longer_in_each_round() -> None:
    assert turns(["a"], 14) == [
        ("a", 1), (None, 1), ("a", 2), (None, 2), ("a", 4), (None, 4),
    ]  # fmt: skip
    assert turns(["a", "b"], 9) == [
        ("a", 1), ("b", 1), (None, 1), ("a", 2), ("b", 2), (None, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 3, 1_000])
def test_each_has_a_turn_once_that_is_longer_than_what_it_runs(count: int) -> None:
    workers = [f"w{number:04}" for number in range(count)]
    longest = dict.fromkeys(workers, 0)
    for name, length in turns(workers, 4_400 * (count + 1)):
        if name is not None:
            longest[name] = max(longest[name], length)
    assert min(longest.values()) * TURN >= 12 * 3600 * 1_000_000 / 4
