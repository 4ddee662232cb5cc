"""docs/handlers.md: what it says that numbers become is what they become."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.docs.pages import DOCS
from unlost import jsontext

TABLE = (DOCS / "handlers.md").read_text().split("## Numbers in a payload")[1].split("## ")[0]
ROWS = [
    pair
    for sent, become in re.findall(r"^\| (`[^|]*) \| ([^|]*) \|$", TABLE, re.MULTILINE)
    for pair in zip(re.findall(r"`(.+?)`", sent), re.findall(r"`(.+?)`", become), strict=False)
]


@pytest.mark.parametrize(("sent", "become"), ROWS)
def test_a_number_comes_as_the_page_says(sent: str, become: str) -> None:
    found: Any = jsontext.decode(f'{{"n": {sent}}}')
    assert repr(found["n"]) == become


def test_an_integer_is_exact_at_any_length() -> None:
    assert jsontext.decode("1" * 5000) == 10**5000 // 9


def test_the_page_has_all_of_these() -> None:
    assert len(ROWS) == 7
