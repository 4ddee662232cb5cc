"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter, Token

from unlost.cli.failures import WrongUsage

_WHOLE = re.compile(r"[+-]?[0-9]{1,100}(?:\.0*)?", re.ASCII)


def switch(name: str, meaning: str) -> Parameter:
    """A flag without a value: it is given or it is not."""
    return Parameter(name=name, help=meaning, show_default=False, negative=())


def whole(_: object, tokens: Sequence[Token]) -> int:
    """The converter of flags that take whole numbers; the library's own rounds.
    Raises ValueError."""
    text = tokens[0].value
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no whole number")
    return int(text.partition(".")[0])


AsJson = Annotated[bool, switch("--json", "print JSON, as the service sent it")]
SumsAsJson = Annotated[bool, switch("--json", "print the sums as JSON")]
Yes = Annotated[bool, switch("--yes", "do not ask")]
By = Annotated[str | None, Parameter(help="who does it, for the task's history")]
Reason = Annotated[str | None, Parameter(help="why, for the task's history")]


def words(by: str | None, reason: str | None) -> dict[str, object]:
    """Who and why, as the service wants them.  Raises WrongUsage for what it would refuse."""
    from unlost.api.openapi.schemas.acts import MAX_REASON
    from unlost.cli import bounds

    bounds.text("--by", by, MAX_REASON)
    bounds.text("--reason", reason, MAX_REASON)
    return given(by=by, reason=reason)


def given(**members: object) -> dict[str, object]:
    """The members that were given: that are not None."""
    return {name: value for name, value in members.items() if value is not None}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Paging:
    """How much of a list is wanted, and from where."""

    limit: Annotated[int, Parameter(converter=whole, help="how many at most")] = 50
    all_: Annotated[bool, switch("--all", "page through to the end")] = False
    cursor: Annotated[
        str | None, Parameter(help="where an earlier list stopped (its nextCursor)")
    ] = None

    def most(self) -> int | None:
        """How many to list; None for all.  Raises WrongUsage."""
        if self.limit < 1:
            raise WrongUsage(f"--limit must be 1 or more, not {self.limit}")
        return None if self.all_ else self.limit


START = Paging()
