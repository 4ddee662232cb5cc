"""Who makes a call, as it was found out before the call reached its endpoint."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from unlost.access.caller import EVERYBODY, Caller

_PLACE: Final = "unlost.caller"


def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """Who makes this call."""
    found: Caller = scope.get(_PLACE, EVERYBODY)
    return found


def set_caller(scope: MutableMapping[str, Any], caller: Caller) -> None:
    """Let the endpoint know who calls."""
    scope[_PLACE] = caller
