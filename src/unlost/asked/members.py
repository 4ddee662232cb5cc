"""The members of a JSON object, all of them checked, so that one learns every fault at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Self, TypeVar

from unlost.asked.checks import Wrong

T = TypeVar("T")
D = TypeVar("D")

_MOST_FAULTS: Final = 100


class Fault(NamedTuple):
    """What is wrong with a member, which is at `path`."""

    path: tuple[str, ...]
    detail: str


class WrongMembers(ValueError):
    """Members cannot be used.  The message says in one line what is wrong with them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(
            "; ".join(f"{'.'.join(path)} {detail}".lstrip() for path, detail in faults[:5])
        )
        self.faults = faults


class Members:
    """The members of one object: read each that is known, then `finish`.

    Raises what `refusal` makes of the faults (WrongMembers), at once if `tree` is no object.
    """

    def __init__(self, tree: object) -> None:
        if not isinstance(tree, dict):
            raise self.refusal([Fault((), "the body must be a JSON object")])
        self.tree: dict[str, object] = tree
        self._at: tuple[str, ...] = ()
        self._known: set[str] = set()
        self._inner: list[Self] = []
        self._faults: list[Fault] = []

    def refusal(self, faults: Sequence[Fault]) -> Exception:
        """The error that says so."""
        return WrongMembers(faults)

    def optional(self, name: str, check: Callable[[object], T], default: D) -> T | D:
        """The member's meaning; `default` if it is absent or wrong."""
        self._known.add(name)
        if name not in self.tree:
            return default
        try:
            return check(self.tree[name])
        except Wrong as wrong:
            self.fault(name, str(wrong))
            return default

    def required(self, name: str, check: Callable[[object], T], default: D) -> T | D:
        """The same for a member that must be there; `finish` will not let the default pass."""
        if name not in self.tree:
            self.fault(name, "is missing")
        return self.optional(name, check, default)

    def fault(self, name: str | None, detail: str) -> None:
        """Note what is wrong with a member, or (None) with the object."""
        names = self._at if name is None else (*self._at, name)
        self._faults.append(Fault(names, detail))

    def within(self, name: str) -> Self:
        """The members of a member that is an object; `finish` covers them."""
        inner = type(self)(self.tree[name])
        inner._at, inner._faults, inner._inner = (*self._at, name), self._faults, self._inner
        self._inner.append(inner)
        return inner

    def finish(self) -> None:
        """Raise the refusal if any member was wrong or is unknown."""
        self._note_unknown()
        for inner in self._inner:
            inner._note_unknown()
        if self._faults:
            raise self.refusal(self._faults)

    def _note_unknown(self) -> None:
        unknown = self.tree.keys() - self._known
        if unknown:
            for name in sorted(unknown)[:_MOST_FAULTS]:
                self.fault(name, "is not a known member")
