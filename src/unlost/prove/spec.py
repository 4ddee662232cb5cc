"""What the worker processes of a proof are told, through an environment variable."""

from __future__ import annotations

from pathlib import Path

import msgspec

from unlost.policy import Backoff
from unlost.prove.fates import Fate, Rates, fate, spared

VARIABLE = "UNLOST_PROOF"
"""Its name; it is there only while a handler is being proved."""


class Spec(msgspec.Struct, frozen=True):
    """Whose handler it is, and what is to be injected.  `calm` stops all injections."""

    handler: str
    folder: str
    seed: int
    rates: Rates
    tree_killers: tuple[str, ...] = ()
    backoff: Backoff = Backoff(0.02, 0.2)
    generation: int = 0
    calm: bool = False

    @property
    def journal(self) -> Path:
        """Where the journal is."""
        return Path(self.folder, "journal.ndjson")

    @property
    def overtaken(self) -> Path:
        """The file that is locked while an overtaken attempt has still to settle."""
        return Path(self.folder, "overtaken.lock")

    def fate(self, task_id: str, number: int, *, last: bool) -> Fate:
        """What is to befall this attempt; `last`: the task has no further one."""
        if self.calm:
            return Fate.NONE
        return spared(fate(self.seed, task_id, number, self.rates), last=last)


def encode(spec: Spec) -> str:
    """The variable's text."""
    return msgspec.json.encode(spec).decode()


def decode(text: str) -> Spec:
    """What `encode` made a text of."""
    return msgspec.json.decode(text, type=Spec)
