"""API keys: every ledger keeps them by their hashes, and gives each name and each secret once."""

from __future__ import annotations

import pytest

from tests.conformance.stage import Stage, submission
from unlost import policy
from unlost.access.keys import HOUR, Key, KeyScope, Secret, digest
from unlost.ledger.protocol import UnknownKey
from unlost.ledger.values import Verdict
from unlost.task import SECOND, Act, Event

ONE, TWO, THREE = (digest(f"unlost_{number}") for number in "123")


def made(name: str, secret: str = ONE, **options: object) -> Key:
    return Key(name, frozenset({KeyScope.SUBMIT}), 7 * SECOND, (Secret(secret),), **options)  # type: ignore[arg-type]


async def test_keys_are_kept_whole_and_listed_by_name(stage: Stage) -> None:
    bounded = made("shop", types=("mail", "ünï #%'\""), rate=2.5, expires_at=9 * SECOND)
    assert await stage.ledger.add_key(bounded) is None
    assert await stage.ledger.add_key(made("audit", TWO)) is None
    await stage.reopen()
    assert await stage.ledger.keys() == [made("audit", TWO), bounded]


async def test_a_name_is_never_given_again_though_its_key_is_revoked(stage: Stage) -> None:
    await stage.ledger.add_key(made("shop"))
    await stage.ledger.revoke_key("shop", 8 * SECOND)
    known = await stage.ledger.add_key(made("shop", TWO))
    assert known == made("shop", revoked_at=8 * SECOND)
    assert await stage.ledger.keys() == [known]


async def test_a_secret_is_of_one_key_though_it_was_rotated_out(stage: Stage) -> None:
    await stage.ledger.add_key(made("shop"))
    await stage.ledger.rotate_key("shop", TWO, 8 * SECOND)
    for secret in (ONE, TWO):
        known = await stage.ledger.add_key(made("other", secret))
        assert known is not None
        assert known.name == "shop"


async def test_a_rotated_key_is_known_by_both_secrets_until_the_old_one_ends(stage: Stage) -> None:
    await stage.ledger.add_key(made("shop"))
    answer = await stage.ledger.rotate_key("shop", TWO, 60 * SECOND)
    [key] = await stage.ledger.keys()
    assert answer == key
    assert [key.is_known_by(one, 59 * SECOND) for one in (ONE, TWO, THREE)] == [True, True, False]
    assert [key.is_known_by(one, 60 * SECOND) for one in (ONE, TWO)] == [False, True]
    await stage.ledger.rotate_key("shop", THREE, 30 * SECOND)
    [key] = await stage.ledger.keys()
    assert [key.is_known_by(one, 30 * SECOND) for one in (ONE, TWO, THREE)] == [False, False, True]


async def test_a_revoked_key_is_known_by_none_and_cannot_be_rotated(stage: Stage) -> None:
    await stage.ledger.add_key(made("shop"))
    await stage.ledger.revoke_key("shop", 8 * SECOND)
    again = await stage.ledger.revoke_key("shop", 9 * SECOND)
    assert again.revoked_at == 8 * SECOND
    assert not again.is_known_by(ONE, 0)
    with pytest.raises(UnknownKey):
        await stage.ledger.rotate_key("shop", TWO, 9 * SECOND)


async def test_what_was_never_made_is_unknown(stage: Stage) -> None:
    with pytest.raises(UnknownKey):
        await stage.ledger.rotate_key("shop", TWO, 9 * SECOND)
    with pytest.raises(UnknownKey):
        await stage.ledger.revoke_key("shop", 9 * SECOND)
    await stage.ledger.used_keys({"shop": 9 * SECOND})
    assert await stage.ledger.keys() == []


async def test_the_hour_of_the_last_use_is_kept_and_never_goes_back(stage: Stage) -> None:
    await stage.ledger.add_key(made("shop"))
    await stage.ledger.add_key(made("audit", TWO))
    await stage.ledger.used_keys({"shop": 3 * HOUR + 5, "gone": HOUR})
    await stage.ledger.used_keys({"shop": 2 * HOUR})
    assert [key.used_at for key in await stage.ledger.keys()] == [None, 3 * HOUR]


async def test_two_ledgers_over_one_store_know_the_same_keys(stage: Stage) -> None:
    other = await stage.another()
    await other.add_key(made("shop"))
    assert await stage.ledger.keys() == [made("shop")]
    assert await stage.ledger.add_key(made("shop", TWO)) == made("shop")
    await other.close()


async def test_what_is_done_names_the_key_by_which_it_was(stage: Stage) -> None:
    await stage.submit("cancelled", "again", "discarded")
    await stage.ledger.cancel("cancelled", "Ada", "why", api_key="one")
    for name in ("again", "discarded"):
        await stage.die(await stage.run(name))
    await stage.ledger.redrive("again", None, None, api_key="two")
    await stage.die(await stage.run("again"))
    await stage.ledger.discard("discarded", None, "old", api_key="three")
    await stage.ledger.redrive("again", None, None, api_key="four")
    histories = [
        [(act.event, act.by, act.reason, act.api_key) for act in await history(stage, name)]
        for name in ("cancelled", "again", "discarded")
    ]
    assert histories == [
        [(Event.CANCEL, "Ada", "why", "one")],
        [(Event.REDRIVE, None, None, "two"), (Event.REDRIVE, None, None, "four")],
        [(Event.DISCARD, None, "old", "three")],
    ]


async def test_it_tells_what_a_submit_would_be_and_stores_nothing(stage: Stage) -> None:
    await stage.submit("known", "other")
    asked = [submission("known"), submission("new"), submission("other", '{"x":1}')]
    found = await stage.ledger.compare(asked)
    assert found == [Verdict.REPLAYED, None, Verdict.CONFLICT]
    assert await stage.ledger.compare([]) == []
    assert await stage.ledger.get("new") is None
    assert (await stage.ledger.counts()).accepted == 2


async def test_groups_count_dead_letters_of_the_types_that_are_there_for_who_asks(
    stage: Stage,
) -> None:
    for name, task_type in (("a", "mail"), ("b", "sms"), ("c", "mail")):
        stage.clock.advance(1)
        await stage.submit(name, type=task_type)
        await stage.die(await stage.run(name))
    [every] = await stage.ledger.groups()
    [mine] = await stage.ledger.groups(types=("mail", "fax"))
    [other] = await stage.ledger.groups(types=("sms",))
    assert (every.count, mine.count, other.count) == (3, 2, 1)
    assert (mine.fingerprint, mine.error_type) == (every.fingerprint, every.error_type)
    assert (mine.sample, mine.first_at, mine.last_at) == (
        every.sample,
        every.first_at,
        every.last_at,
    )
    assert other.first_at == other.last_at > mine.first_at
    assert await stage.ledger.groups(types=("fax",)) == []
    assert await stage.ledger.groups(types=()) == []


async def test_a_group_shows_nobody_what_a_task_of_another_type_said(stage: Stage) -> None:
    for name, number in (("mail", 1), ("sms", 2)):
        stage.clock.advance(1)
        await stage.submit(name, type=name)
        error = policy.error("Boom", f"it broke at {number}", "")
        await stage.die(await stage.run(name), error)
    for name, number in (("mail", 1), ("sms", 2)):
        [group] = await stage.ledger.groups(types=(name,))
        assert (group.count, group.sample) == (1, f"it broke at {number}")


async def history(stage: Stage, task_id: str) -> tuple[Act, ...]:
    record = await stage.ledger.get(task_id)
    assert record is not None
    return record.history
