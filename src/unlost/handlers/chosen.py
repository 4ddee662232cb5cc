"""Which handlers a worker has, by what the service is told."""

from __future__ import annotations

from random import Random

from unlost.handlers.loading import load
from unlost.handlers.registry import Handlers
from unlost.handlers.simulated import simulated
from unlost.settings import NONE


def chosen(spec: str, failure_rate: float, seed: int | None, random: Random) -> Handlers:
    """The handlers that were named, those of no type for `NONE`, else the simulated ones.

    Raises HandlerNotLoaded.
    """
    if spec == NONE:
        return Handlers()
    return load(spec) if spec else simulated(failure_rate, seed, random)
