"""Traces: where a task's way is told to a collector, if that was asked for.

`Tracing` is what the API, workers and sweepers tell, and tells it to nobody.  The modules beside
it know OpenTelemetry, and are imported only where tracing is on: `otel` for the spans of attempts
and the way to the collector, `submits` for those of submits, `context` for W3C headers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module

from unlost.ledger.values import Claimed, Held, Settlement, Submitted
from unlost.task import Submission

Headers = Iterable[tuple[bytes, bytes]]
"""A request's headers, their names in lower case."""

_NOTHING = nullcontext()


class CannotTrace(Exception):
    """Tracing was asked for and cannot be had.  The message is one line that says why."""


class Tracing:
    """What one process tells of tasks on their way.  Nothing here raises, waits or blocks, but
    for `close`.

    A submit is told of around its request, with `carry` and `stored` for each step in which its
    tasks are stored.  An attempt is told of by its token: `attempt` around its handler, then
    `dropped`, or `ended` and `settled`.
    """

    def submit(self, headers: Headers, *, batch: bool) -> AbstractContextManager[object]:
        """Around a request that submits one task or, as a `batch`, any number."""
        return _NOTHING

    def carry(self, submissions: Sequence[Submission]) -> Sequence[Submission]:
        """The submissions as they are to be stored: they carry the submit that is under way."""
        return submissions

    def stored(self, answers: Sequence[Submitted]) -> None:
        """What became of them."""

    def attempt(self, claimed: Claimed) -> AbstractContextManager[object]:
        """Around an attempt's handler, in the context or thread in which it runs."""
        return _NOTHING

    def carry_on(self, token: str, text: str | None) -> str | None:
        """What a task carries that follows from an attempt whose handler has ended."""
        return text

    def dropped(self, token: str) -> None:
        """An attempt has ended that does not count any more: it was cancelled or reaped."""

    def ended(self, settlement: Settlement) -> None:
        """An attempt has ended, and is to be settled so."""

    def settled(self, batch: Sequence[Settlement], held: Sequence[Settlement | None]) -> None:
        """The ledger took these settlements, as they stand in `held`, or refused them (None)."""

    def reaped(self, left: Held, settlement: Settlement) -> None:
        """An attempt was settled for a worker that is no more."""

    def close(self, seconds: float) -> None:
        """Send what was told and not sent yet, for at most so many seconds."""


OFF = Tracing()
"""Tells nobody."""


def import_tracing() -> None:
    """Import what `open_tracing` needs, if it is there, before other modules of that name are."""
    with suppress(ImportError):
        import_module("unlost.tracing.otel")


def open_tracing(role: str, *, on: bool) -> Tracing:
    """The tracing of a process with this role: "api", "worker" or "supervisor".

    Raises CannotTrace if it is `on` and the extra `otel` is not installed, or where a variable
    `OTEL_…` makes no sense.
    """
    if not on:
        return OFF
    try:
        from unlost.tracing.otel import exporting  # noqa: PLC0415  nobody else pays for it

        return exporting(role)
    except ModuleNotFoundError as error:
        why = f"tracing needs the extra otel, pip install 'unlost[otel]': {error}"
        raise CannotTrace(why) from error
    except ValueError as error:
        raise CannotTrace(f"a variable OTEL_… cannot be used: {error}") from error
