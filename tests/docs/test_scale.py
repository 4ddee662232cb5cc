"""docs/scale.md: what it calculates follows from what was measured, and from the AWS page."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS
from unlost.ledger.dynamodb.schema import MOST_SHARDS

PAGE = (DOCS / "scale.md").read_text()
DAY = 86_400
MONTH = 30 * DAY
FREEZE = 200_000_000
"""PostgreSQL's `autovacuum_freeze_max_age`."""


def rows(heading: str) -> list[list[float]]:
    """The numbers of a table of the page, by the beginning of its first line."""
    table = PAGE.split(f"\n| {heading}")[1].split("\n\n")[0].splitlines()[2:]
    return [[number(cell) for cell in line[1:-1].split("|")] for line in table]


def number(cell: str) -> float:
    found = re.search(r"\d[\d,]*(?:\.\d+)?", cell)
    return float(found.group().replace(",", "")) if found else 0.0


TAKES = rows("what a task takes")
SQLITE = [row[1] for row in TAKES]
POSTGRES = [row[2] for row in TAKES]


def near(value: float) -> object:
    """As it may be rounded: to a unit, or to a twentieth."""
    return pytest.approx(value, rel=0.05, abs=0.5)


def test_the_writer_of_sqlite() -> None:
    submit, claim, settle, written, kept, *_ = SQLITE
    for rate, busy, megabytes, gigabytes in rows("tasks/s | the writer"):
        assert busy == near(rate * (submit + claim + settle) / 1e4)
        assert megabytes == pytest.approx(rate * written / 1e6, abs=0.1)
        assert gigabytes == near(rate * kept * DAY / 1e9)


def test_what_postgresql_needs() -> None:
    submit, claim, settle, written, kept, died, transactions = POSTGRES
    for rate, processors, wal, rows_died, gigabytes, hours in rows("tasks/s | processors"):
        assert processors == pytest.approx(rate * (submit + claim + settle) / 1e6, abs=0.06)
        assert wal == near(rate * written / 1e6)
        assert rows_died == near(rate * died)
        assert gigabytes == near(rate * kept * DAY / 1e9)
        assert hours == near(FREEZE / (rate * transactions) / 3600)


def test_what_aws_needs_and_costs() -> None:
    prices = (DOCS / "aws.md").read_text()
    a_million = float(re.findall(r"\*\*sum\*\* \| \| \| \*\*([\d.]+)\*\*", prices)[0])
    less = float(re.findall(r"submitted in batches of 100 and more .*?\| .([\d.]+) ", prices)[0])
    for rate, units, shards, runs, singly, batched in rows("tasks/s | DynamoDB"):
        assert units == 6 * rate
        assert 2 * rate <= 1_000 * shards  # units a second, of which a partition takes so many
        assert shards <= MOST_SHARDS
        assert runs == near(rate * 0.03)
        assert singly == near(rate * MONTH / 1e6 * a_million)
        assert batched == near(rate * MONTH / 1e6 * (a_million - less))


def test_the_tables_have_their_rows() -> None:
    assert len(TAKES) == 7
    assert [
        len(rows(f"tasks/s | {what}")) for what in ("the writer", "processors", "DynamoDB")
    ] == [4] * 3
