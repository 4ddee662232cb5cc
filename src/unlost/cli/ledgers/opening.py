"""Commands that work on a ledger itself, without a service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

from unlost.cli.failures import Failed, WrongUsage

if TYPE_CHECKING:
    from unlost.ledger.protocol import Ledger

T = TypeVar("T")

OTHER = "name another one with --ledger; `unlost serve` makes one where there is none"
AGAIN = "try again in a moment, or let `unlost doctor` look at it"
"""What to do about a ledger that is none, and about one that does not answer."""

LedgerUrl = Annotated[
    str,
    Parameter(
        name="--ledger",
        env_var=("UNLOST_LEDGER", "DATABASE_URL"),
        metavar="URL",
        help="which ledger, such as sqlite:///unlost.db",
    ),
]


def on_ledger(
    url: str,
    step: Callable[[Ledger], Awaitable[T]],
    *,
    must_exist: bool = True,
    reading: bool = False,
) -> T:
    """Do something with the ledger that `url` names; `reading` says that it only reads.

    Raises WrongUsage for a URL that names none, Failed where it cannot be opened, or not be used
    to the end.
    """
    import asyncio

    from unlost.ledger.opening import open_ledger

    async def run() -> T:
        ledger = await open_ledger(url, must_exist=must_exist, reading=reading)
        try:
            return await step(ledger)
        finally:
            await ledger.close()

    with told():
        return asyncio.run(run())


@contextmanager
def told() -> Iterator[None]:
    """What is wrong with a ledger, as the line that a command ends with."""
    from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit, NotALedger
    from unlost.settings import WrongSetting

    try:
        yield
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    except NotALedger as error:
        raise Failed(f"{error}; {OTHER}") from error
    except LedgerUnfit as error:  # which says what to do
        raise Failed(str(error)) from error
    except LedgerUnavailable as error:
        raise Failed(f"{error}; {AGAIN}") from error


def home_of(url: str) -> str:
    """The home that a ledger's URL names; nothing else of it, which may hold a password."""
    scheme = url.partition("://")[0]
    return "postgres" if scheme == "postgresql" else scheme
