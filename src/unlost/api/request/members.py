"""The members of a body, and checks of what only calls have (see `asked.checks`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from unlost.api.openapi.schemas.acts import MAX_REASON
from unlost.api.openapi.schemas.fields import OWN_ID
from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.problems import Invalid, invalid, pointer
from unlost.asked.checks import Wrong, text
from unlost.asked.members import Fault
from unlost.asked.members import Members as AskedMembers

T = TypeVar("T")


class Members(AskedMembers):
    """The members of a body (see there).  Raises Invalid."""

    def refusal(self, faults: Sequence[Fault]) -> Invalid:
        """All of them at once."""
        return invalid([FieldError(detail, pointer(*path)) for path, detail in faults])


reason = text(0, MAX_REASON)

_OWN_ID = re.compile(OWN_ID)


def own_id(value: object) -> str:
    """An id that clients give to their calls."""
    if not isinstance(value, str) or not _OWN_ID.fullmatch(value):
        raise Wrong("must be a string of 1 to 200 of A-Z a-z 0-9 . _ - :")
    return value


def path_id(value: object) -> str:
    """The same for what has a path of its own."""
    found = own_id(value)
    if found in {".", ".."}:
        raise Wrong("must not be . or .., which mean something else in a path")
    return found


def or_null(check: Callable[[object], T]) -> Callable[[object], T | None]:
    """The same, or null."""

    def check_or_null(value: object) -> T | None:
        return None if value is None else check(value)

    return check_or_null
