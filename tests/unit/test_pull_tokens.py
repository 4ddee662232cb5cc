"""Tokens of attempts that are claimed by the API: sealed, and never too long."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from unlost.ledger.values import Claimed
from unlost.pull.tokens import LONGEST, Seal
from unlost.task import MAX_ID, MAX_TYPE, SECOND

ONE = Claimed(
    "t", "p" + "0" * 39, "mail", '{"secret":1}', 3, 2, 5, 2.5, 0, 1, 1_700_000_000 * SECOND,
    1_700_000_001 * SECOND, None, '{"callbackUrl":"http://x"}', None, 1,
)  # fmt: skip


def test_a_token_says_what_settling_needs_and_nothing_else() -> None:
    seal = Seal(b"secret")
    ticket = seal.ticket(seal.token(ONE))
    assert ticket is not None
    assert ticket.whole
    assert ticket.claimed == replace(ONE, payload="")


def test_a_token_of_another_ledger_says_nothing() -> None:
    token = Seal(b"secret").token(ONE)
    assert Seal(b"other").ticket(token) is None
    assert Seal(b"secret").ticket("é" + token) is None
    assert Seal(b"secret").ticket(token + "A" * LONGEST) is None


@pytest.mark.parametrize("carried", [None, '"' + "x" * 2_000 + '"'])
def test_a_token_is_never_too_long(carried: str | None) -> None:
    seal, wide = Seal(b"secret"), "\U0001f600"
    one = replace(ONE, task_id=wide * MAX_ID, type=wide * MAX_TYPE, carried=carried)
    token = seal.token(one)
    ticket = seal.ticket(token)
    assert len(token) <= LONGEST
    assert ticket is not None
    assert (ticket.task_id, ticket.token, ticket.whole) == (one.task_id, one.token, False)
