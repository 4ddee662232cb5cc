"""Which types handlers serve where they cannot serve every type."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from unlost.handlers.loading import HandlerNotLoaded
from unlost.handlers.registry import Handlers

MOST_TYPES: Final = 100
"""Types that one worker may claim by the API."""


def named(handlers: Handlers, types: Collection[str] | None) -> Handlers:
    """Handlers that serve these types, or (None) all that they name, and no others.

    Raises HandlerNotLoaded where that is impossible.
    """
    if types is None and handlers.types is None:
        raise HandlerNotLoaded("--types says which types a plain function serves by --url")
    names = tuple(handlers.types or ()) if types is None else tuple(dict.fromkeys(types))
    if not 1 <= len(names) <= MOST_TYPES:
        raise HandlerNotLoaded(
            f"a worker serves 1 to {MOST_TYPES} types by --url, not {len(names)}"
        )
    try:
        return handlers.only(names)
    except KeyError as error:
        raise HandlerNotLoaded(f"no handler serves the type {error} of --types") from None
