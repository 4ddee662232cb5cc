"""What goes through `protocol.Pulling`: workers that claim by the API."""

from __future__ import annotations

import msgspec

from unlost.ledger.values.attempts import Claim, Claimed
from unlost.task import Micros

PULLED = "p"
"""How the tokens of attempts begin that were claimed by the API, and no others."""


class Pull(msgspec.Struct, frozen=True):
    """A claim of a worker that the ledger enlists with it, for `lease` from now.

    `owner` is the name of the key by which it claims; "" where no key is needed.  The tokens of
    the claim begin with `known_by`, as those of each earlier call of the same claim do, and all of
    one call of the same worker that names the same types with `prefix`, which is longer.

    One that `waits` is tried again by the service, and says nothing of the worker's process: it
    needs the lease that the call began, and prolongs it only where it gives something.  One that
    `empties` gives a worker nothing while it holds something, so that it comes to hold nothing.
    """

    claim: Claim
    owner: str
    lease: Micros
    known_by: str
    prefix: str
    waits: bool = False
    empties: bool = False


class Pulled(msgspec.Struct, frozen=True):
    """The attempts that a claim started, now or (`again`) in an earlier call.  One whose task's
    last attempt was lost comes `alone`."""

    attempts: tuple[Claimed, ...] = ()
    alone: bool = False
    again: bool = False
