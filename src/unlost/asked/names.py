"""Names that can be read from a path that came decoded.

Behind some gateways nobody can tell an encoded `/` in a name from one that parts a path, and what
follows an encoded `?` is gone.  There a name is refused that could be taken for another one, or
whose end could be taken for a call on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from unlost.asked.checks import Wrong

CALLS: Final = frozenset({"cancel", "why", "redrive", "pause", "resume", "run", "stop", "rotate"})
"""What may follow a name in a path: what is called on it."""

_LISTED: Final = ", ".join(sorted(CALLS))

PATTERN: Final = rf"^(?!([^%?]*/)?({'|'.join(sorted(CALLS))})$)[^%?\u0000-\u001f\u007f-\u009f]*$"
"""The same as a pattern of JSON Schema, with what holds for names anywhere."""

ID_PATTERN: Final = rf"^(?!(\.\.?|{'|'.join(sorted(CALLS))})$)[A-Za-z0-9._:-]{{1,200}}$"
"""The same for `members.path_id`."""

_UNCLEAR: Final = re.compile(r"[%?]")

UNCLEAR: Final = (b"%25", b"%3F")
"""What shows in a path that it was meant for a name which may not be had here."""

REACHED_OTHERWISE: Final = (
    "no name in a path has a % or ? here, which the gateway changes;"
    " commands with --ledger reach what has such a name"
)


def wanted_on(ledger: str) -> bool:
    """Whether the home of the ledger at this URL has such a gateway: what is new there must have
    such a name however it comes, since calls behind the gateway could not mean it."""
    return ledger.startswith("dynamodb:")


def legible(check: Callable[[object], str]) -> Callable[[object], str]:
    """The check, and that the name can be read from a decoded path."""

    def check_legible(value: object) -> str:
        name = check(value)
        if _UNCLEAR.search(name):
            raise Wrong(
                "must hold neither % nor ?, which the gateway in front of this home changes"
            )
        if name.rpartition("/")[2] in CALLS:
            raise Wrong(f"must not be, or end after a / with, the name of a call ({_LISTED})")
        return name

    return check_legible
