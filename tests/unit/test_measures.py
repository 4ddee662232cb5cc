"""Measures add up."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unlost.telemetry.measures import (
    MOST_TYPES,
    NOTHING,
    OTHER,
    Histogram,
    Measures,
    OfCall,
    OfType,
    admitted,
    decode,
    encode,
    total,
)

NUMBERS = st.integers(0, 10**9)
SIZE = len(Histogram().counts)
HISTOGRAMS = st.builds(Histogram, st.tuples(*[NUMBERS] * SIZE), NUMBERS)
OF_TYPES = st.builds(
    OfType,
    st.dictionaries(st.sampled_from(["failed", "lost"]), NUMBERS),
    NUMBERS,
    HISTOGRAMS,
    HISTOGRAMS,
)
OF_CALLS = st.builds(OfCall, st.dictionaries(st.integers(200, 503), NUMBERS), HISTOGRAMS)
MEASURES = st.builds(
    Measures,
    st.dictionaries(st.sampled_from("abcdef"), OF_TYPES, max_size=3),
    st.dictionaries(st.sampled_from("xyz"), OF_CALLS, max_size=2),
    st.dictionaries(st.sampled_from(["over-rate", "invalid"]), NUMBERS),
)


# Three such values are slow to make where the machine is busy, which says nothing of the sums.
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(MEASURES, MEASURES, MEASURES)
def test_a_sum_does_not_depend_on_the_order(a: Measures, b: Measures, c: Measures) -> None:
    assert a.plus(b).plus(c) == c.plus(b.plus(a)) == total([b, c, a])
    assert a.plus(NOTHING) == a == NOTHING.plus(a)


@settings(max_examples=25)
@given(MEASURES)
def test_what_is_kept_as_text_is_read_as_it_was(measures: Measures) -> None:
    assert decode(encode(measures)) == measures


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert decode('{"later":1,"types":{"a":{"deaths":2,"more":[]}}}').types["a"].deaths == 2


@given(st.lists(st.sets(st.integers(0, 2 * MOST_TYPES), max_size=90), max_size=4))
def test_whatever_types_come_each_attempt_counts_once_and_names_stay_few(
    told: list[set[int]],
) -> None:
    known, seen = NOTHING, NOTHING
    for names in told:
        measures = Measures({str(name): OfType(deaths=1) for name in names})
        before = known.types.keys()
        known, renamed = admitted(known, measures)
        assert before <= known.types.keys()
        assert renamed.types.keys() <= known.types.keys()
        seen = seen.plus(renamed)
    assert len(known.types.keys() - {OTHER}) <= MOST_TYPES
    assert sum(of_type.deaths for of_type in seen.types.values()) == sum(map(len, told))
