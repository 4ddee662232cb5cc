"""The steps of attempts, of workers, and of what is set for types."""

from __future__ import annotations

from functools import partial
from typing import Final

import pytest
from msgspec.structs import replace

from tests.conformance.stage import BOOM, LEASE
from tests.postgres.statements.filling import KEYS, LARGEST, LATE, WORKERS
from tests.postgres.statements.step import (
    NOW,
    ONCE,
    RUNNING,
    Place,
    Step,
    read,
    write,
)
from unlost import carried
from unlost.access.keys import Key, Secret
from unlost.carried import Carried, Parent
from unlost.ledger.postgres.attempts import claiming, pulling, settling, succeeding, workers
from unlost.ledger.postgres.attempts.marks import Learnt, Seen
from unlost.ledger.postgres.connection.transaction import (
    Transaction,
)
from unlost.ledger.postgres.controls import controlling, pacing, parking
from unlost.ledger.postgres.controls.limiting import LOOKED_AT, Limited
from unlost.ledger.postgres.keys import keeping
from unlost.ledger.protocol import AnotherCall
from unlost.ledger.values import (
    Claim,
    FollowUp,
    Pull,
    Settlement,
    Worker,
)
from unlost.limits.control import Change, Claimant
from unlost.limits.rate import Pace
from unlost.policy import Limits
from unlost.task import Event, Outcome, Submission

ROOM: Final = 10**8
"""Bytes for the payloads of every batch."""

TYPES: Final = {"default": Limits(3, 5.0), "limited": Limits(1, 2.0), "nobody": Limits(0, 1.0)}


async def claim(
    transaction: Transaction,
    place: Place,
    batch: int,
    *,
    some: bool,
    limited: bool,
    room: int | None = None,
) -> int:
    tokens = [f"new{n}" for n in range(batch)]
    wanted = Claim("mine", tokens, TYPES if some else None, Limits(2, 60.0), room=room)
    limits = Limited() if limited else None
    return len(await claiming.claim(transaction, wanted, limits, marks=place.marks))


async def claim_from_marks(transaction: Transaction, place: Place, batch: int) -> int:
    marks = place.marks
    pairs = {(name, rank): Seen(0, waited=True) for name in ("a", "default") for rank in (-1, 0)}
    look = marks.look(None, alone=False)
    look.learnt = Learnt(NOW, 0.0, pairs)
    marks.end(look, True)
    tokens = [f"new{n}" for n in range(batch)]
    wanted = Claim("mine", tokens, None, Limits(2, 60.0))
    return len(await claiming.claim(transaction, wanted, marks=marks))


async def claim_as_stand_in(transaction: Transaction, place: Place, batch: int) -> int:
    tokens = [f"new{n}" for n in range(batch)]
    wanted = Claim("mine", tokens, None, Limits(2, 60.0), claimant=Claimant.STAND_IN)
    return len(await claiming.claim(transaction, wanted, marks=place.marks))


async def due_in(
    transaction: Transaction, place: Place, batch: int, *, some: bool, limited: bool
) -> int:
    types = list(TYPES) if some else None
    due = await claiming.due_in(transaction, types, alone=False, limited=limited, marks=place.marks)
    return int(due == 0)


async def settle(
    transaction: Transaction, place: Place, batch: int, *, outcome: Outcome, event: Event
) -> int:
    error = BOOM if outcome is Outcome.FAILED else None
    result = '"done"' if event is Event.SUCCEED else None
    ended = [
        Settlement(f"t{n}", f"token{n}", outcome, event, 0, error, result)
        for n in place.seqs("mine", batch)
    ]
    return sum(await settling.settle(transaction, ended))


async def succeed(transaction: Transaction, place: Place, batch: int) -> int:
    """The same where nothing is set for any type, of successes that bring nothing else."""
    await transaction.do("TRUNCATE unlost.control")
    ended = [
        Settlement(f"t{n}", f"token{n}", Outcome.SUCCEEDED, Event.SUCCEED, result='"done"')
        for n in place.seqs("mine", batch)
    ]
    return sum(await succeeding.succeed(transaction, ended))


async def submit_more(transaction: Transaction, place: Place, batch: int) -> int:
    """Settle attempts with a follow-up each: of two of them one is there already."""
    ended = []
    for n in place.seqs("mine", batch):
        attempt = Settlement(f"t{n}", f"token{n}", Outcome.SUCCEEDED, Event.SUCCEED)
        parent = carried.write(Carried(parent=Parent(f"t{n}", 1)))
        new = Submission(f"new{n}" if n % 2 else f"t{n}", "{}", b"digest", carried=parent)
        ended.append(replace(attempt, submit=(FollowUp(new, attempt),)))
    return sum(await settling.settle(transaction, ended))


async def enlist(transaction: Transaction, place: Place, batch: int) -> int:
    await workers.enlist(transaction, Worker("new", ("default",)), LEASE)
    return batch


async def extend(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await workers.extend(transaction, [f"w{n + 1}" for n in range(batch)], LEASE))


async def dismiss(transaction: Transaction, place: Place, batch: int) -> int:
    await workers.dismiss(transaction, "w100", expired=True)
    await workers.dismiss(transaction, "w101", expired=False)
    return batch


async def held(transaction: Transaction, place: Place, batch: int, *, worker: str | None) -> int:
    return int(len(await workers.held(transaction, worker)) == LARGEST)


async def dropped(transaction: Transaction, place: Place, batch: int) -> int:
    tokens = {f"token{n}": f"t{n}" for n in place.seqs("mine", batch)}
    return batch - len(await workers.dropped(transaction, tokens))


async def all_workers(transaction: Transaction, place: Place, batch: int) -> int:
    return int(len(await workers.workers(transaction)) > 1)


KNOWN: Final = f"""
INSERT INTO unlost.worker (id, lease_until, alone, pull, owner)
VALUES ('puller', {NOW + LEASE}, false, true, '')
"""


async def pull(transaction: Transaction, place: Place, batch: int, *, new: bool) -> int:
    """A claim, and the same again, also by another worker, to whom it is refused: of so many
    attempts each time."""
    if not new:
        await transaction.do(KNOWN)
    tokens = [f"pull-{n:04}" for n in range(batch)]
    claim = Claim("puller", tokens, TYPES, Limits(2, 60.0), claimant=Claimant.PULL, room=ROOM)
    wanted = Pull(claim, "", LEASE, "pull-", "pull-")
    transaction.commit = _not_yet  # type: ignore[method-assign]
    first = await pulling.pull(transaction, wanted, marks=place.marks)
    del transaction.commit
    await pulling.prolong(transaction, "puller", "", LEASE)
    by_another = replace(wanted, claim=replace(claim, worker="another"))
    with pytest.raises(AnotherCall):
        await pulling.pull(transaction, by_another, marks=place.marks)
    return min(
        len(first.attempts),
        len((await pulling.pull(transaction, wanted, marks=place.marks)).attempts),
    )


async def _not_yet() -> None:
    """More of the step is to come."""


async def standing(transaction: Transaction, place: Place, batch: int) -> int:
    tokens = {f"token{n}": f"t{n}" for n in place.seqs("mine", batch)}
    await pulling.standing(transaction, tokens)
    return batch


LOST = """
UPDATE unlost.open_task SET state = 'queued', worker = NULL, token = NULL, alone = true
WHERE seq = ANY (%(seqs)s)
"""


async def lone(transaction: Transaction, place: Place, batch: int, *, limited: bool) -> int:
    await transaction.do(LOST, {"seqs": place.seqs("mine", batch)})
    return batch if await pulling.lone(transaction, limited=limited) else 0


async def overtime(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await pulling.overtime(transaction))


async def control(transaction: Transaction, place: Place, batch: int) -> int:
    await controlling.pause(transaction, "default", "ann", None)
    await controlling.resume(transaction, "default")
    await controlling.change(transaction, "limited", Change(limit=5))
    return len(await controlling.controls(transaction))


async def keys(transaction: Transaction, place: Place, batch: int) -> int:
    new = Key("ops", frozenset({"read"}), NOW, (Secret("0" * 64),))
    await keeping.add(transaction, new)
    await keeping.rotate(transaction, "ops", "1" * 64, NOW)
    await keeping.note_use(transaction, {"ops": NOW})
    await keeping.revoke(transaction, "ops", NOW)
    return len(await keeping.keys(transaction))


async def bring_back(transaction: Transaction, place: Place, batch: int) -> int:
    return await parking.bring_all_back(transaction, "limited", batch)


async def none_waits(transaction: Transaction, place: Place, batch: int) -> int:
    return await pacing.bring_all_back(transaction, "limited", batch)


async def forget_idle_paces(transaction: Transaction, place: Place, batch: int) -> int:
    return await pacing.forget_idle(transaction, batch)


async def keep_paces(transaction: Transaction, place: Place, batch: int) -> int:
    await transaction.learn()
    keys = [f"k{n}" if n < KEYS else f"other{n + 1}" for n in range(batch)]
    pace = Pace(0.1, 1_000 * NOW + 10**10)
    await pacing.keep(transaction, {("limited", key): pace for key in keys})
    return batch


async def stray(transaction: Transaction, place: Place, batch: int) -> int:
    return int(len(await parking.stray(transaction, "limited", "k2")) == parking.KEYS_AT_ONCE)


def _claims() -> dict[str, Step]:
    found = {}
    for some in (False, True):
        for limited in (False, True):
            name = f"of {'some' if some else 'all'} types{', limited ones too' if limited else ''}"
            least = RUNNING + LOOKED_AT if limited else 1
            do = partial(claim, some=some, limited=limited)
            found[f"claim {name}"] = write(do, least)
            if some:
                found[f"claim with room {name}"] = write(partial(do, room=ROOM), least)
            do = partial(due_in, some=some, limited=limited)
            found[f"due {name}"] = read(do, least, batches=ONCE)
    return found


SETTLEMENTS: Final = {
    "succeed": (Outcome.SUCCEEDED, Event.SUCCEED), "retry": (Outcome.FAILED, Event.RETRY),
    "die": (Outcome.FAILED, Event.DIE), "release": (Outcome.RELEASED, Event.RELEASE),
    "lose": (Outcome.LOST, Event.RETRY),
}  # fmt: skip

READS: Final = {
    "held": read(partial(held, worker="mine"), LARGEST, batches=ONCE),
    "left behind": read(partial(held, worker=None), LARGEST, batches=ONCE),
    "dropped": read(dropped),
    "standing": read(standing),
    "overtime": read(overtime, LATE, batches=ONCE),
    "workers": read(all_workers, RUNNING, batches=ONCE),
    "strays": write(stray, batches=ONCE),
}

WRITES: Final = {
    **_claims(),
    "lone": write(partial(lone, limited=False), batches=ONCE),
    "lone, of limited types too": write(
        partial(lone, limited=True), RUNNING + LOOKED_AT, batches=ONCE
    ),
    "pull": write(partial(pull, new=False)),
    "pull anew": write(partial(pull, new=True), WORKERS, batches=ONCE),
    "claim as a stand-in": write(claim_as_stand_in),
    "claim from marks": write(claim_from_marks),
    **{
        name: write(partial(settle, outcome=outcome, event=event))
        for name, (outcome, event) in SETTLEMENTS.items()
    },
    "succeed plainly": write(succeed),
    "succeed and submit": write(submit_more),
    "bring all back": write(bring_back, some=lambda batch: min(batch, 2_400)),
    "none waits": write(none_waits, some=lambda batch: min(batch, 2_400)),
    "keep paces": write(keep_paces),
    "forget idle paces": write(forget_idle_paces, some=lambda batch: min(batch, 1_000)),
    "control": write(control, batches=ONCE),
    "keys": write(keys, batches=ONCE),
    "extend": write(extend),
    "enlist": write(enlist, WORKERS, batches=ONCE),
    "dismiss": write(dismiss, batches=ONCE),
}
