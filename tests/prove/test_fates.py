"""What is injected into which attempt: the seed decides, and nothing else."""

from __future__ import annotations

from collections import Counter

import pytest

from unlost.prove.fates import (
    FAILURES,
    KILLS,
    MEANING,
    OVERTAKINGS,
    Fate,
    Rates,
    fate,
    tree_killers,
)
from unlost.prove.spec import Spec, decode, encode

IDS = [f"t{number}" for number in range(4_000)]


def fates(seed: int, number: int = 1) -> list[Fate]:
    return [fate(seed, task_id, number, Rates()) for task_id in IDS]


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert fates(7) == fates(7)
    assert fates(7) != fates(8)
    assert tree_killers(7, IDS, 3) == tree_killers(7, IDS[::-1], 3)
    assert tree_killers(7, IDS, 3) != tree_killers(8, IDS, 3)


def test_each_kind_befalls_its_share_of_attempts() -> None:
    counts = Counter(fates(7))
    for rate, kinds in (
        (0.15, FAILURES),
        (0.1, KILLS),
        (0.1, OVERTAKINGS),
        (0.1, [Fate.ANSWER_LOST]),
    ):
        for kind in kinds:
            assert counts[kind] / len(IDS) == pytest.approx(rate / len(kinds), rel=0.35)
    assert counts[Fate.NONE] / len(IDS) == pytest.approx(0.55, rel=0.1)


def test_only_a_first_attempt_is_overtaken() -> None:
    assert not {*fates(7, number=2)} & {*OVERTAKINGS}


@pytest.mark.parametrize("seed", range(50))
def test_no_last_attempt_is_failed_and_none_in_the_calm(seed: int) -> None:
    spec = Spec("app:handlers", "", seed, Rates(0.25, 0.25, 0.25, 0.25), ("a",))
    assert spec.fate("a", 1, last=True) in (Fate.NONE, Fate.ANSWER_LOST)
    calm = Spec("app:handlers", "", seed, Rates(0.25, 0.25, 0.25, 0.25), ("a",), calm=True)
    assert calm.fate("a", 1, last=False) is Fate.NONE


def test_a_spec_reaches_the_worker_as_it_is() -> None:
    spec = Spec("app:handlers", "folder", 7, Rates(), ("a", "\ud7ff\u202e"), generation=3)
    assert decode(encode(spec)) == spec


def test_every_fate_has_words() -> None:
    assert set(MEANING) == set(Fate)
