"""`unlost key …`: give out API keys, list them, take them back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from cyclopts import App, Parameter

from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.options import switch
from unlost.cli.show.output import raw
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import moment
from unlost.keys import SECRET_BYTES, Key, KeyScope, digest, new_key
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import LedgerUnavailable, NotALedger
from unlost.settings import WrongSetting
from unlost.task import SECOND

if TYPE_CHECKING:
    from unlost.aws.keys import TableKeys

T = TypeVar("T")

SCHEME = "dynamodb"
MAX_NAME = 100

COLUMNS = Columns(("name", "scopes", "created"), whole="name", spare=("created",))

Table = Annotated[
    str,
    Parameter(name="--ledger", env_var="UNLOST_LEDGER", metavar="URL", help="dynamodb://TABLE"),
]
AsJson = Annotated[bool, switch("--json", "print JSON")]

key = App(
    name="key",
    help="Give out API keys of a service on AWS, list them, take them back.",
    help_epilogue="unlost key COMMAND --help says more.",
)


class KeySeen(msgspec.Struct, rename="camel"):
    """A key as it is shown."""

    name: str
    scopes: list[str]
    created_at: datetime


@key.command(help_epilogue="")
def create(
    *,
    ledger: Table,
    scope: Annotated[
        str, Parameter(metavar="SCOPES", help="any of submit, read, operate, with commas between")
    ],
    name: Annotated[str, Parameter(help="whose key it is")],
    json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    `submit` is for submitting tasks, `read` for all that only reads, `operate` for cancelling,
    redriving and discarding, and for what is set for types.
    """
    import secrets

    scopes = _scopes(scope)
    _check_name(name)
    text = new_key(secrets.token_bytes(SECRET_BYTES))

    async def add(keys: TableKeys) -> None:
        if any(one.name == name for one in (await keys.all()).values()):
            raise Failed(f"there is already a key named {name}")
        await keys.add(digest(text), Key(name, scopes, wall_clock()))

    _with_keys(ledger, add)
    if json:
        scopes_given = sorted(scope.value for scope in scopes)
        raw(msgspec.json.encode({"name": name, "scopes": scopes_given, "key": text}))
    else:
        print(text)


@key.command(name="list", help_epilogue="")
def list_(*, ledger: Table, json: AsJson = False) -> None:
    """List the keys: names, scopes, and when they were made; never the keys themselves."""
    found = _with_keys(ledger, lambda keys: keys.all())
    shown = [_seen(one) for one in sorted(found.values(), key=lambda one: one.created_at)]
    if json:
        raw(msgspec.json.encode({"keys": shown}))
    else:
        rows = [(one.name, ",".join(one.scopes), moment(one.created_at)) for one in shown]
        table(COLUMNS, rows)


@key.command(help_epilogue="")
def revoke(
    name: Annotated[str, Parameter(name="NAME", help="whose key it is")],
    /,
    *,
    ledger: Table,
    json: AsJson = False,
) -> None:
    """Take a key back: within a minute no call can be made with it."""

    async def remove(keys: TableKeys) -> None:
        found = [digest for digest, one in (await keys.all()).items() if one.name == name]
        if not found:
            raise Failed(f"there is no key named {name}")
        await keys.remove(found)

    _with_keys(ledger, remove)
    if json:
        raw(msgspec.json.encode({"revoked": name}))


def _seen(key: Key) -> KeySeen:
    scopes = sorted(scope.value for scope in key.scopes)
    return KeySeen(key.name, scopes, datetime.fromtimestamp(key.created_at / SECOND, UTC))


def _scopes(text: str) -> frozenset[KeyScope]:
    try:
        return frozenset(KeyScope(word.strip()) for word in text.split(","))
    except ValueError:
        known = ", ".join(KeyScope)
        raise WrongUsage(f"--scope must be any of {known}, not {text!r}") from None


def _check_name(name: str) -> None:
    if not (1 <= len(name) <= MAX_NAME and name.isprintable()):
        raise WrongUsage(f"--name must be 1 to {MAX_NAME} printable characters")


def _with_keys(url: str, step: Callable[[TableKeys], Awaitable[T]]) -> T:
    """Do something with the keys of a table."""
    import asyncio

    scheme, _, name = url.partition("://")
    if scheme != SCHEME or not name:
        raise WrongUsage(f"keys are kept in dynamodb://TABLE, not in {url}")
    try:
        from unlost.aws.keys import TableKeys
        from unlost.ledger.dynamodb.connection.calls import Calls
    except ModuleNotFoundError as missing:
        raise Failed(f"keys need unlost[aws]: {missing}") from None

    async def run() -> T:
        calls = Calls(name)
        try:
            await calls.open()
            return await step(TableKeys(calls))
        finally:
            calls.close()

    try:
        return asyncio.run(run())
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    except (LedgerUnavailable, NotALedger) as error:
        raise Failed(str(error)) from error
