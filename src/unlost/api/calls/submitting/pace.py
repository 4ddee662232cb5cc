"""How fast each key submits, in this process."""

from __future__ import annotations

import math
from collections.abc import Callable

from unlost.access.caller import Caller
from unlost.access.rates import Bucket, taken, wait
from unlost.api.problems import OverRate
from unlost.task import Micros


class Pace:
    """Holds keys to their rates.  `clock` is the time of day."""

    def __init__(self, clock: Callable[[], Micros]) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}  # by the key's name

    def take(self, caller: Caller, wanted: int = 1) -> int:
        """How many of so many submits the caller may make now, which counts them."""
        key = caller.key
        if key is None or key.rate is None:
            return wanted
        bucket, allowed = taken(self._buckets.get(key.name), key.rate, wanted, self._clock())
        self._buckets[key.name] = bucket
        return allowed

    def check(self, caller: Caller) -> None:
        """Count a submit.  Raises OverRate."""
        if not self.take(caller):
            raise self.refusal(caller)

    def refusal(self, caller: Caller) -> OverRate:
        """The refusal of a key that has submitted too fast."""
        key, seconds = caller.key, 1.0
        if key is not None and key.rate is not None and key.name in self._buckets:
            seconds = wait(self._buckets[key.name], key.rate)
        retry_after = str(max(1, math.ceil(seconds)))
        return OverRate("this key submits too fast", headers={"Retry-After": retry_after})
