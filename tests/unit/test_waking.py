"""Wake-ups: which types they name, and that others understand them."""

from __future__ import annotations

import pytest

from unlost.ledger.postgres.hints.telling import LONGEST, ORIGIN
from unlost.ledger.waking import MOST_NAMED, Woken, heard, joined, named, told
from unlost.task import MAX_TYPE


@pytest.mark.parametrize(
    "types", [None, frozenset(), frozenset({"a"}), frozenset({'"', "é", "😀"})]
)
def test_what_is_told_is_heard(types: Woken) -> None:
    assert heard(told(types)) == types
    assert heard(told(types).decode()) == types


def test_several_are_about_all_their_types_and_with_one_about_any_about_any() -> None:
    assert joined([frozenset({"a"}), frozenset({"b"}), frozenset()]) == frozenset({"a", "b"})
    assert joined([frozenset({"a"}), None, frozenset({"b"})]) is None


def test_more_types_than_are_named_are_any() -> None:
    every = [str(number) for number in range(MOST_NAMED + 1)]
    assert named(every[1:]) == frozenset(every[1:])
    assert named(every) is None
    assert joined([named(every[1:]), named(every[:1])]) is None


@pytest.mark.parametrize("last", ["x", "😀", '"'])
def test_the_longest_names_fit_into_a_notification(last: str) -> None:
    types = named([f"{number:02}" + last * (MAX_TYPE - 2) for number in range(MOST_NAMED)])
    assert types is not None
    assert len(told(types)) <= LONGEST - ORIGIN


@pytest.mark.parametrize("words", [b"\xff", b"{}", b"[1]", "later"])
def test_what_another_release_may_say_is_about_any(words: bytes | str) -> None:
    assert heard(words) is None
