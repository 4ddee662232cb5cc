"""What a run has of workers that claim by the API."""

from __future__ import annotations

import msgspec


class Pull(msgspec.Struct, frozen=True):
    """Workers that claim by the API, and how; times in seconds."""

    workers: int
    slots: int
    lease: float
    wait: float  # how long a claim waits
    faults: dict[str, float]  # of calls over the network: how often, by kind
    services: int = 1
    is_crowded: bool = False  # more to do than can be done at once, all the time
    in_time: bool = False  # nothing but hints goes wrong

    @property
    def late(self) -> float:
        """Seconds after the last fault that a call may still come."""
        return 3 * self.lease if self.faults else 0.0
