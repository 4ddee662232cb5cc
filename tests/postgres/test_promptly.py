"""Submits that no coroutine awaits: whoever waits for one hears what a coroutine would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from tests.conformance.stage import Stage, submission
from unlost.ledger.postgres.connection.store import Store
from unlost.ledger.protocol import Awaiting, LedgerUnavailable, Prompt
from unlost.ledger.values import Submitted, Verdict
from unlost.task import Submission


def told(stage: Stage, submissions: Sequence[Submission]) -> asyncio.Future[list[Submitted]]:
    """What `submit_for` tells."""
    ledger = stage.ledger
    assert isinstance(ledger, Prompt)
    awaiting: asyncio.Future[list[Submitted]] = asyncio.get_running_loop().create_future()
    ledger.submit_for(submissions, cast("Awaiting", awaiting))
    return awaiting


async def test_it_is_told_what_became_of_each(alone: Stage) -> None:
    for payload, verdict in (
        ('{"n":1}', Verdict.ACCEPTED),
        ('{"n":1}', Verdict.REPLAYED),
        ('{"n":2}', Verdict.CONFLICT),
    ):
        [stored] = await told(alone, [submission("t", payload)])
        assert stored.verdict is verdict


async def test_it_is_told_why_nothing_became_of_it(
    alone: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(*_: Any) -> None:
        raise LedgerUnavailable("no")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write", write)
        with pytest.raises(LedgerUnavailable):
            await told(alone, [submission("t")])
    [stored] = await told(alone, [submission("t")])
    assert stored.verdict is Verdict.ACCEPTED


async def test_who_is_gone_is_told_nothing_and_others_are(alone: Stage) -> None:
    gone, there = told(alone, [submission("t")]), told(alone, [submission("u")])
    gone.cancel()
    [stored] = await there
    assert stored.verdict is Verdict.ACCEPTED
    assert [one.verdict for one in await alone.ledger.submit([submission("t")])] == [
        Verdict.REPLAYED
    ]
