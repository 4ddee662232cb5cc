"""`unlost purge`: old finished tasks give up what they no longer need."""

from __future__ import annotations

from typing import Annotated

import msgspec
from cyclopts import Parameter

from unlost.batches import BATCH
from unlost.cli.failures import WrongUsage
from unlost.cli.ledgers.opening import LedgerUrl, on_ledger
from unlost.cli.options import SumsAsJson, Yes
from unlost.cli.prompts import agree
from unlost.cli.show.output import raw
from unlost.cli.text import counted
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import Ledger
from unlost.task import MAX_DELAY, SECOND

LONGEST = 100 * MAX_DELAY
"""Seconds; as --retain."""


def purge(
    *,
    older_than: Annotated[
        float, Parameter(metavar="SECONDS", help="how long ago a task was last updated")
    ],
    ledger: LedgerUrl,
    yes: Yes = False,
    json: SumsAsJson = False,
) -> None:
    """Remove payload, result and attempts of old succeeded and cancelled tasks, once.

    Never of dead letters. Id, digest, state and times stay, so that a task submitted again is
    still recognised. It may run beside a service; `--retain` does the same all the time.
    """
    if not 0 <= older_than <= LONGEST:
        raise WrongUsage(f"--older-than must be 0 to {LONGEST}, not {older_than:g}")
    agree(f"purge tasks that ended more than {older_than:g} s ago?", yes)

    async def run(opened: Ledger) -> int:
        before = wall_clock() - round(older_than * SECOND)
        purged = 0
        while now := await opened.purge(before, BATCH):
            purged += now
            if now < BATCH:
                break
        return purged

    purged = on_ledger(ledger, run)
    if json:
        raw(msgspec.json.encode({"purged": purged}))
    else:
        print(f"{counted(purged, 'task')} purged")
