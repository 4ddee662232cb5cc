"""Places of those who wait: bounded in number, and shared among keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Places:
    """At most `most` places.

    Where none is free, a key gets one of the key that has most of them, if that one has more than
    it even then: the one that was taken first.  So no key shuts out another, and a key that is
    alone may have all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str | None, dict[object, Callable[[], None]]] = {}
        self.taken = 0

    @contextmanager
    def place(self, key: str | None, give_up: Callable[[], None]) -> Iterator[bool]:
        """Whether there is a place; `give_up` is called where another key gets it meanwhile."""
        one = object()
        if self.taken >= self._most and not self._make_room(key):
            yield False
            return
        self._held.setdefault(key, {})[one] = give_up
        self.taken += 1
        try:
            yield True
        finally:
            self._leave(key, one)

    def _make_room(self, key: str | None) -> bool:
        longest, held = max(self._held.items(), key=lambda item: len(item[1]), default=(None, {}))
        if len(held) < len(self._held.get(key, ())) + 2:
            return False
        one, give_up = next(iter(held.items()))
        self._leave(longest, one)
        give_up()
        return True

    def _leave(self, key: str | None, one: object) -> None:
        held = self._held.get(key, {})
        if held.pop(one, None) is not None:
            self.taken -= 1
            if not held:
                del self._held[key]
