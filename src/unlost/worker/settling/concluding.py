"""What the ledger is told of an attempt that has ended, whoever ran it."""

from __future__ import annotations

from random import Random

from unlost.ledger.values import Claimed, Held, Settlement
from unlost.settings import Settings
from unlost.tracing import OFF, Tracing
from unlost.webhooks.notices import Notices
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.effects.follow_ups import brought


class Concluding:
    """Makes settlements of ends: what follows, with the tasks and the notices that go with it."""

    def __init__(self, settings: Settings, random: Random, tracing: Tracing = OFF) -> None:
        self._backoff = settings.backoff
        self._max_excused = settings.max_excused
        self._draw = attempt.draws(settings.seed, random)
        self._notices = Notices(settings)
        self._tracing = tracing

    def settlement(self, known: Claimed | Held, ended: Ended) -> Settlement:
        """What the ledger is to be told of this end."""
        done = attempt.settlement(known, ended, self._backoff, self._draw, self._max_excused)
        if not isinstance(known, Claimed):
            return done
        return self._notices.after(brought(done, known, ended.submit, self._tracing), known)
