"""What is said of a day's samples."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from bench.day.home import Sizes
from bench.day.judging import judge, parts
from bench.day.plot import draw
from bench.day.samples import Process, Sample

MIB = 2**20


def _process(pid: int = 1, rss: float = 50 * MIB, descriptors: int = 30) -> Process:
    return Process(pid, 60.0, 29 * MIB, 30 * MIB, round(rss), descriptors, 8, 1.0)


def _sample(
    at: float, api: Process | None = None, tables: dict[str, int] | None = None, **more: float
) -> Sample:
    return Sample(
        at=at,
        home="sqlite",
        processes={"steady api": api or _process(), "harmed worker": _process(pid=round(at))},
        sizes=Sizes(round(more.get("file", 10 * MIB)), 0, round(more.get("log", 8 * MIB))),
        tables=tables or {"task": MIB, "payload": MIB},
        accepted=round(at * 100),
        states={},
        lag=more.get("lag", 0.1),
        done={},
        harm={},
    )


def _day(make: Callable[[float], Sample], hours: float = 8) -> list[Sample]:
    every = hours * 3600 / 400
    return [make(number * every) for number in range(401)]


def _grown(samples: list[Sample]) -> list[str]:
    return [one.what for one in judge(samples) if not one.holds]


def test_what_stays_as_it_is_holds() -> None:
    assert _grown(_day(_sample)) == []


GROWING: dict[str, Callable[[float], Sample]] = {
    "steady api: RSS": lambda at: _sample(at, _process(rss=50 * MIB * (1 + 0.01 * at / 3600))),
    "steady api: descriptors and threads": lambda at: _sample(
        at, _process(descriptors=30 + round(at / 3600))
    ),
    "table payload": lambda at: _sample(at, tables={"payload": round(MIB * (1 + 2 * at / 3600))}),
    "a task's, in tables that keep what a purge leaves": lambda at: _sample(
        at, tables={"task": round(800 * at * 100)}
    ),
    "a task's, in the file": lambda at: _sample(at, file=800 * at * 100),
    "log": lambda at: _sample(at, log=20 * MIB * at / 3600),
    "oldest due task": lambda at: _sample(at, lag=at / 1000),
}


@pytest.mark.parametrize("what", GROWING)
def test_what_grows_is_named(what: str) -> None:
    assert _grown(_day(GROWING[what])) == [what]


def test_what_a_purge_leaves_may_grow_with_the_tasks() -> None:
    assert _grown(_day(lambda at: _sample(at, tables={"task": round(200 * at * 100)}))) == []


def test_the_second_and_the_last_hour_are_compared_or_quarters_of_less() -> None:
    day, short = parts(_day(_sample)), parts(_day(_sample, hours=2))
    assert (day.second[0].at, day.second[-1].at) == (3600, 7128)
    assert (day.last[0].at, day.last[-1].at) == (25200, 28800)
    assert (short.second[0].at, short.last[0].at) == (1800, 5400)


def test_too_few_samples_are_no_judgement() -> None:
    with pytest.raises(ValueError, match="too few"):
        judge([])


def test_the_drawing_has_a_line_of_each_process_with_gaps_where_it_was_not_there() -> None:
    def make(at: float) -> Sample:
        sample = _sample(at)
        if 3 <= at / 72 < 5:
            del sample.processes["steady api"]
        return sample

    root = ET.fromstring(draw(_day(make)))
    [path] = [one.get("d", "") for one in root.iter("{http://www.w3.org/2000/svg}path")][:1]
    assert path.count("M") == 2
    assert path.count("L") == 401 - 2 - 2
