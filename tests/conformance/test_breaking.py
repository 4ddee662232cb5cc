"""A type's circuit breaker: while it is open its tasks wait and spend no attempt."""

from __future__ import annotations

from tests.conformance.stage import Stage
from tests.conformance.test_limits import ids
from unlost.limits.breaker import Breaker, Phase
from unlost.limits.control import Change
from unlost.policy import error
from unlost.task import SECOND

BREAKER = Breaker(share=0.5, window=60 * SECOND, minimum=2, pause=30 * SECOND, probes=2)


async def phase(stage: Stage) -> Phase | None:
    (control,) = await stage.ledger.controls()
    return control.phase(stage.clock())


async def opened(stage: Stage) -> None:
    """A breaker that two failures have opened."""
    await stage.ledger.change("mail", Change(breaker=BREAKER))
    await stage.submit(*"abcdef", type="mail", max_retries=9)
    for claimed in await stage.claim(2):
        await stage.retry(claimed, wait=3600)
    assert await phase(stage) is Phase.OPEN


async def test_while_it_is_open_no_attempt_starts_and_none_is_spent(stage: Stage) -> None:
    await opened(stage)
    await stage.submit("other")
    assert ids(await stage.claim(9)) == ["other"]
    assert await stage.ledger.due_in(["mail"]) is None
    assert (await stage.record("c")).attempt_count == 0


async def test_half_open_it_lets_as_many_start_as_it_has_probes(stage: Stage) -> None:
    await opened(stage)
    stage.clock.advance(30)
    assert await phase(stage) is Phase.HALF_OPEN
    assert ids(await stage.claim(9)) == ["c", "d"]
    assert ids(await stage.claim(9)) == []


async def test_it_closes_once_its_probes_have_succeeded(stage: Stage) -> None:
    await opened(stage)
    stage.clock.advance(30)
    first, second = await stage.claim(9)
    await stage.succeed(first)
    assert ids(await stage.claim(9)) == []
    assert await phase(stage) is Phase.HALF_OPEN
    await stage.succeed(second)
    assert await phase(stage) is Phase.CLOSED
    assert ids(await stage.claim(9)) == ["e", "f"]


async def test_a_probe_that_fails_opens_it_again(stage: Stage) -> None:
    await opened(stage)
    stage.clock.advance(30)
    first, second = await stage.claim(9)
    await stage.retry(first, wait=3600)
    await stage.succeed(second)
    assert ids(await stage.claim(9)) == []
    stage.clock.advance(29)
    assert await phase(stage) is Phase.OPEN
    stage.clock.advance(1)
    assert len(await stage.claim(9)) == 2


async def test_a_probe_that_is_released_or_lost_does_not_stay_in_the_way(stage: Stage) -> None:
    await opened(stage)
    stage.clock.advance(30)
    first, second = await stage.claim(9)
    await stage.release(first)
    assert ids(await stage.claim(9)) == ["e"]  # it has been due for longer
    await stage.lose(second)
    assert await phase(stage) is Phase.OPEN


async def test_rejects_and_releases_do_not_open_it(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(breaker=BREAKER))
    await stage.submit(*"abcdef", type="mail")
    for claimed in await stage.claim(6):
        await stage.die(claimed, error("Reject", "no such customer"))
    assert await phase(stage) is Phase.CLOSED


async def test_lost_and_timed_out_attempts_open_it(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(breaker=BREAKER))
    await stage.submit(*"ab", type="mail")
    for claimed in await stage.claim(6):
        await stage.lose(claimed, wait=3600)
    assert await phase(stage) is Phase.OPEN


async def test_a_breaker_that_is_taken_away_or_set_anew_lets_its_tasks_go(stage: Stage) -> None:
    await opened(stage)
    await stage.ledger.change("mail", Change(breaker=BREAKER))
    assert await phase(stage) is Phase.CLOSED
    assert ids(await stage.claim(1)) == ["c"]
    await opened_again(stage)
    await stage.ledger.change("mail", Change(breaker=None))
    assert await stage.ledger.controls() == []
    assert ids(await stage.claim(1)) == ["f"]


async def opened_again(stage: Stage) -> None:
    for claimed in await stage.claim(2):
        await stage.retry(claimed, wait=3600)
    assert await phase(stage) is Phase.OPEN


async def test_what_it_knows_is_seen_by_another_process(stage: Stage) -> None:
    await opened(stage)
    other = await stage.another()
    try:
        assert await other.controls() == await stage.ledger.controls()
    finally:
        if other is not stage.ledger:
            await other.close()
