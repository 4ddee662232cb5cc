"""A redrive as the memory ledger keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field

from unlost.redrive import Named, Redrive


@dataclass(slots=True)
class KeptRedrive:
    """A redrive, what it names, and its letters under way, each with its redrive count."""

    redrive: Redrive
    named: Named
    under_way: dict[str, int] = field(default_factory=dict)
