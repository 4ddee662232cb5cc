"""How a table makes room on a narrow terminal."""

from __future__ import annotations

from unlost.cli.show.tables import Columns, fitting

COLUMNS = Columns(("id", "time", "text"), whole="id", spare=("time", "text"))
WIDEST = {"id": 10, "time": 20, "text": 100}
LEAST = {"id": 10, "time": 8, "text": 6}


def test_with_enough_room_nothing_is_narrower_than_it_could_be() -> None:
    assert fitting(COLUMNS, WIDEST, LEAST, 134) == WIDEST


def test_what_can_be_narrower_makes_room_before_a_column_is_left_out() -> None:
    assert fitting(COLUMNS, WIDEST, LEAST, 40) == {"id": 10, "time": 13, "text": 13}
    assert fitting(COLUMNS, WIDEST, LEAST, 28) == LEAST


def test_spare_columns_are_left_out_in_their_order() -> None:
    assert fitting(COLUMNS, WIDEST, LEAST, 27) == {"id": 10, "text": 15}
    assert fitting(COLUMNS, WIDEST, LEAST, 17) == {"id": 10}


def test_what_must_be_whole_is_broken_only_where_nothing_else_is_left() -> None:
    assert fitting(COLUMNS, WIDEST, LEAST, 9) == {"id": 9}


def test_a_table_without_spare_columns_keeps_them_all() -> None:
    bare = Columns(COLUMNS.heads)
    assert sum(fitting(bare, WIDEST, LEAST, 20).values()) == 16
    assert fitting(bare, WIDEST, LEAST, 2) == {"id": 1, "time": 1, "text": 1}
