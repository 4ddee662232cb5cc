"""What is wrong with a ledger and does not pass by itself, as each home tells it."""

from __future__ import annotations

from typing import NamedTuple

from unlost.ledger.protocol import LedgerUnfit


class Lasting(NamedTuple):
    """What the ledger does then (see `LedgerUnavailable.words`), and what to do about it."""

    words: str
    cure: str

    def error(self, said: str) -> LedgerUnfit:
        """What is raised where somebody has said so."""
        return LedgerUnfit(f"{said}; {self.cure}" if self.cure else said, words=self.words)
