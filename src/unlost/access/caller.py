"""Who calls: what they may do, and what they get to see.  Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from unlost.access.keys import Key, KeyScope


class Caller(msgspec.Struct, frozen=True):
    """Who makes a call: the key that they brought and the hash by which it is known.

    Without a key nobody is bounded: none is needed then, or the call is one that anybody may make.
    `is_known` says that they may be told what is only for whoever runs or uses the service.
    """

    key: Key | None = None
    digest: str = ""
    is_known: bool = True

    @property
    def name(self) -> str | None:
        """The key's name."""
        return None if self.key is None else self.key.name

    @property
    def types(self) -> tuple[str, ...] | None:
        """The types that it is bounded to; None: it is not."""
        return None if self.key is None else self.key.types

    def may(self, scope: KeyScope) -> bool:
        """Whether the caller has the scope."""
        return self.key is None or self.key.may(scope)

    def sees(self, task_type: str) -> bool:
        """Whether tasks of this type are there for the caller."""
        return self.key is None or self.key.types is None or task_type in self.key.types

    def owns(self, submitted_by: str | None) -> bool:
        """Whether a task is its own, which this key has submitted."""
        return self.key is None or self.key.name == submitted_by


EVERYBODY: Final = Caller()
"""Whoever calls where no key is needed."""

STRANGER: Final = Caller(is_known=False)
"""Whoever calls without a key what anybody may call."""
