"""What PostgreSQL's errors mean: what passes, what does not, and what only one task may meet."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from unlost.ledger.postgres.connection.faults import Passing, Raced, meaning, unreachable
from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit
from unlost.settings import WrongSetting

LASTING = {
    "25006": "is read-only",
    "28P01": "is not open to this service",
    "3D000": "is not there",
    "3F000": "has not the tables that this version needs",
    "42501": "lacks a right in its database",
    "42703": "has not the tables that this version needs",
    "42883": "has not the tables that this version needs",
    "42P01": "has not the tables that this version needs",
    "53100": "has no space left",
    "53400": "is beyond a limit of its server",
    "58030": "cannot use its disk",
    "XX001": "is damaged",
    "XX002": "is damaged",
}
PASSING = ("08006", "25P03", "26000", "40001", "40P01", "42P05", "55P03", "57P01", "57P05")
UNKNOWN = ("22P02", "53200", "53300", "54000", "57014", "P0001")


def fault(sqlstate: str) -> psycopg.Error:
    return errors.lookup(sqlstate)("the server says so\nand more")


@pytest.mark.parametrize("sqlstate", LASTING)
def test_what_does_not_pass_by_itself_says_what_it_is(sqlstate: str) -> None:
    error = meaning(fault(sqlstate), committing=False)
    assert isinstance(error, LedgerUnfit)
    assert error.words == LASTING[sqlstate]
    assert str(error).startswith("PostgreSQL: the server says so")
    wrong_place = sqlstate in ("28P01", "3D000")
    opened = unreachable(fault(sqlstate), "postgresql://host/db")
    assert isinstance(opened, WrongSetting if wrong_place else LedgerUnfit)
    assert "cannot be reached" not in str(opened)


@pytest.mark.parametrize("sqlstate", PASSING)
def test_what_was_surely_not_done_is_tried_again(sqlstate: str) -> None:
    assert isinstance(meaning(fault(sqlstate), committing=False), Passing)


@pytest.mark.parametrize("sqlstate", UNKNOWN)
def test_the_rest_is_for_the_caller_to_try_again(sqlstate: str) -> None:
    assert type(meaning(fault(sqlstate), committing=False)) is LedgerUnavailable


def test_who_puts_in_what_somebody_else_has_put_in_has_lost_a_race() -> None:
    assert type(meaning(fault("23505"), committing=False)) is Raced


def test_where_a_commit_was_under_way_nobody_tries_again_by_himself() -> None:
    assert type(meaning(fault("57P01"), committing=True)) is LedgerUnavailable
