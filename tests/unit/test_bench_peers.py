"""What the race of queues makes of its turns, and of what its workers tell."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from bench.peers import table
from bench.peers.embedded.backlog import LIMIT, Backlog
from bench.peers.entrant import Turn
from bench.peers.programs.reporting import INTERVAL, Reporter
from bench.peers.ran import Ran

TURN = Turn(1000, 900, 50_000, 40_000, 20_000, 2.0, 4.0, 100.0, 50.0)


def others(**changed: float | None) -> Turn:
    return msgspec.structs.replace(TURN, **changed)


def bounds(turns: table.Turns) -> dict[str, table.Bound]:
    return {bound.what: bound for bound in table.bounds(turns, "unlost abc", None)}


def test_ratios_are_medians_of_rounds_and_not_ratios_of_medians() -> None:
    turns = {
        "unlost abc": [others(noops=rate) for rate in (10.0, 30.0, 20.0)],
        "PgQueuer 1.6.0": [others(noops=rate) for rate in (10.0, 10.0, 2.0)],
    }
    assert bounds(turns)["no-ops : PgQueuer's"].figure == 3.0  # of 1, 3 and 10; not 20 : 10


def test_what_a_peer_cannot_do_is_no_bound_that_holds() -> None:
    turns = {"unlost abc": [TURN], "graphile-worker 0.18.0": [others(start_p50=None)]}
    missed = bounds(turns)["submit → start, p50 : graphile-worker's"]
    assert missed.figure is None
    assert missed.cells[1:] == ("-", "≤ 1.2", "MISSED")


def test_bulk_over_http_is_held_against_the_best_of_the_peers() -> None:
    turns = {
        "unlost abc": [others(bulk=90_000)],  # its own call without HTTP is none of them
        "awa 0.6.9": [others(bulk=20_000)],
        "pg-boss 12.38.0": [others(bulk=32_000)],
    }
    assert bounds(turns)["bulk over HTTP : the best peer's own call"].figure == 1.25


def test_another_build_is_a_yardstick_and_no_peer() -> None:
    turns = {"unlost abc": [TURN], "unlost old": [others(single_http=300, bulk=80_000)]}
    found = {bound.what: bound for bound in table.bounds(turns, "unlost abc", "unlost old")}
    assert found["one client : unlost old"].figure == 3.0
    assert found["bulk over HTTP : the best peer's own call"].figure is None


def test_a_bound_may_be_one_from_above() -> None:
    assert table.Bound("memory", 300.0, 300.0, at_most=True).holds
    assert not table.Bound("memory", 300.1, 300.0, at_most=True).holds
    assert not table.Bound("no-ops", 1.2, 1.25).holds


def test_the_table_has_a_row_for_each_and_a_dash_for_what_there_is_not() -> None:
    rows = table.rows({"awa 0.6.9": [others(single_http=None), others(single_http=None)]})
    assert rows == [
        ("awa 0.6.9", "1,000", "-", "50,000", "40,000", "20,000", "2.0", "4.0", "100", "50.0")
    ]
    assert len(rows[0]) == len(table.COLUMNS)
    assert table.markdown(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_workers_tell_how_many_they_started_and_since_when(tmp_path: Path) -> None:
    file = tmp_path / "ran"
    ran = Ran(file)

    async def work() -> None:
        first, second = Reporter(str(file)), Reporter(str(file))
        first.ran({})
        second.ran({})
        first.ran({})
        first.ran({"at": 0.0})
        await asyncio.sleep(2 * INTERVAL)

    asyncio.run(work())
    ran.look()
    assert ran.started == 3
    assert ran.first > 0
    assert len(ran.took) == 1
    ran.look()
    assert ran.started == 3  # nothing is read twice


def test_half_a_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "ran"
    ran = Ran(file)
    file.write_bytes(b"ran 5 20.0\nran 7 1")
    ran.look()
    assert (ran.started, ran.first) == (5, 20.0)
    file.write_bytes(b"ran 5 20.0\nran 7 10.5\n")
    ran.look()
    assert (ran.started, ran.first) == (12, 10.5)


def test_a_line_that_nobody_writes_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "ran"
    ran = Ran(file)
    file.write_bytes(b"walked 5\n")
    with pytest.raises(ValueError, match="walked"):
        ran.look()


def test_a_backlog_is_timed_from_when_its_workers_began() -> None:
    backlog = Backlog(0.0, 100)
    for now, left in ((2.0, 100), (3.0, None), (4.0, 50)):
        backlog.saw(now, left)
        assert not backlog.over
    backlog.saw(7.0, 0)
    assert backlog.over
    assert backlog.rate == 20.0


def test_a_backlog_that_is_never_worked_off_ends_with_the_rate_that_it_has() -> None:
    backlog = Backlog(0.0, 1_000)
    backlog.saw(10.0, 1_000)
    backlog.saw(LIMIT, 900)
    assert backlog.over
    assert backlog.rate == 100 / (LIMIT - 10.0)


def test_a_backlog_that_nobody_touches_ends_as_well() -> None:
    backlog = Backlog(0.0, 10)
    backlog.saw(LIMIT, None)
    assert backlog.over
    assert backlog.rate == 0.0
