"""Dead letters that are as large as the contract lets one become without a redrive."""

from __future__ import annotations

from hashlib import sha256

from msgspec.structs import replace

from unlost import policy
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Copy
from unlost.policy import MESSAGE_LIMIT, TRACEBACK_LIMIT, Limits
from unlost.task import SECOND, Attempt, Outcome, Record, State

ATTEMPTS = 101
BEGAN = 1_700_000_000 * SECOND


async def bury(ledger: Ledger, count: int) -> None:
    """Keep so many of them: `letter0` and so on."""
    one = _letter()
    for number in range(count):
        record = replace(one.record, task_id=f"letter{number}")
        await ledger.restore([replace(one, record=record)])


def _letter() -> Copy:
    """About 2.4 MB as JSON: each attempt has a traceback of 16 KiB and a message of 4 KiB."""
    line = '  File "app.py", line 7, in work\n'
    traceback = (line * (TRACEBACK_LIMIT // len(line) + 1))[:TRACEBACK_LIMIT]
    why = policy.error("Boom", "m" * MESSAGE_LIMIT, traceback)
    payload = '{"text":"' + "x" * 250_000 + '"}'
    starts = [BEGAN + 2 * turn * SECOND for turn in range(ATTEMPTS)]
    attempts = tuple(
        Attempt(turn, at, at + SECOND, Outcome.FAILED, why, at + 2 * SECOND)
        for turn, at in enumerate(starts[:-1], start=1)
    )
    died_at = starts[-1] + SECOND
    last = Attempt(ATTEMPTS, starts[-1], died_at, Outcome.FAILED, why)
    record = Record(
        "", "default", State.DEAD, 0, sha256(payload.encode()).digest(), BEGAN, died_at, None,
        ATTEMPTS - 1, 60.0, ATTEMPTS, 0, why, payload=payload, attempts=(*attempts, last),
    )  # fmt: skip
    own = Limits(ATTEMPTS - 1, None)
    return Copy(record, own, ATTEMPTS, alone=False, died_at=died_at)
