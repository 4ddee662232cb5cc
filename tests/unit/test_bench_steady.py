"""What the churn bench says of how steady a run was."""

from __future__ import annotations

import pytest

from bench.steady import steadiness, tenths


def test_a_tenth_of_the_tasks_that_took_longer_is_told() -> None:
    times = [0.0]
    for number in range(1, 101):  # a task a second, but for the fourth tenth
        times.append(times[-1] + (4.0 if 30 < number <= 40 else 1.0))
    moments = [(at, number) for number, at in enumerate(times)]
    assert tenths(moments) == pytest.approx([1, 1, 1, 0.25, 1, 1, 1, 1, 1, 1])
    said = steadiness(moments, 12.4)
    assert "by tenths: 1 1 1 0 1" in said
    assert "100 tasks" in said
    assert "0.25 of it" in said
    assert "12 ms" in said


def test_batches_that_pass_a_mark_are_counted_where_they_end() -> None:
    moments = [(0.0, 0), (2.0, 15), (4.0, 30), (5.0, 50), (10.0, 100)]
    assert tenths(moments) == pytest.approx([7.5, 7.5, 20, 10])
