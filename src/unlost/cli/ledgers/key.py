"""`unlost key …`: give out API keys, list them, renew them, take them back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from unlost.access.keys import (
    MAX_NAME,
    SECRET_BYTES,
    Key,
    KeyScope,
    Secret,
    digest,
    is_key,
    new_key,
)
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.ledgers.opening import LedgerUrl, home_of, on_ledger
from unlost.cli.options import switch
from unlost.cli.show.keys import keys_table, seen
from unlost.cli.show.output import raw
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import Ledger, UnknownKey
from unlost.task import MAX_TYPE, SECOND, Micros

DAY: Micros = 86_400 * SECOND
LONGEST_DAYS = 36_500
LONGEST_OVERLAP = 31_536_000
FASTEST = 1_000_000
LONGEST_FILE = 1_000
"""Characters: a file that holds a key has little else."""

AsJson = Annotated[bool, switch("--json", "print JSON")]
Named = Annotated[str, Parameter(name="NAME", help="the key's name")]

key = App(
    name="key",
    help="Give out API keys of a service, list them, renew them, take them back.",
    help_epilogue="unlost key COMMAND --help says more.",
)


@key.command(help_epilogue="")
def create(
    *,
    ledger: LedgerUrl,
    scope: Annotated[
        list[str],
        Parameter(
            metavar="SCOPES",
            help="any of submit, metrics, read, operate, work; with commas between, or repeated",
            negative=(),
        ),
    ],
    name: Annotated[str, Parameter(help="its name, which no other key ever gets")],
    type_: Annotated[
        list[str] | None,
        Parameter(
            name="--type",
            help="a type of tasks that it is for, may be repeated; else all",
            negative=(),
        ),
    ] = None,
    rate: Annotated[
        float | None, Parameter(help="tasks it may submit in a second, in each API process")
    ] = None,
    expires: Annotated[
        float | None, Parameter(metavar="DAYS", help="after how many days it ends; else never")
    ] = None,
    secret_file: Annotated[
        str | None,
        Parameter(
            metavar="FILE|-",
            help="has the key (unlost_ and 43 characters), in place of a new one",
            allow_leading_hyphen=True,
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    `submit` is for submitting tasks and looking at those that it has submitted, `read` for all that
    only reads, `metrics` for /metrics and /stats alone, `operate` for cancelling, redriving and
    discarding, and for what is set for types, `work` for handlers that claim over HTTP.

    The ledger is made where there is none, so that the first key may come before the first start.
    With --secret-file nothing is printed of the key, and the same call again does nothing.
    """
    import secrets

    now = wall_clock()
    text = new_key(secrets.token_bytes(SECRET_BYTES)) if secret_file is None else _read(secret_file)
    new = Key(
        _name(name),
        _scopes(scope),
        now,
        (Secret(digest(text)),),
        _types(type_),
        _bounded("--rate", rate, FASTEST),
        _end(now, expires),
    )
    # Whoever makes the first key may be the first to use the ledger; one in memory ends here.
    in_memory = home_of(ledger) == "memory"
    known = on_ledger(ledger, lambda opened: opened.add_key(new), must_exist=in_memory)
    if known is not None and (secret_file is None or not _is_same(known, new, now)):
        raise Failed(_in_the_way(known, new, now))
    if json:
        shown = {"key": text} if secret_file is None else {"made": known is None}
        raw(msgspec.json.encode({"name": new.name, "scopes": sorted(new.scopes), **shown}))
    elif secret_file is None:
        print(text)
    else:
        print(f"the key {new.name} is {'made' if known is None else 'there already'}")


@key.command(name="list", help_epilogue="")
def list_(*, ledger: LedgerUrl, json: AsJson = False) -> None:
    """List the keys that ever were: names, scopes, bounds, when they were made and last used (to
    the hour), when they end or have ended; never the keys themselves."""
    found = on_ledger(ledger, lambda opened: opened.keys(), reading=True)
    found = sorted(found, key=lambda one: (one.created_at, one.name))
    if json:
        raw(msgspec.json.encode({"keys": list(map(seen, found))}))
    else:
        keys_table(found)


@key.command(help_epilogue="")
def rotate(
    name: Named,
    /,
    *,
    ledger: LedgerUrl,
    overlap: Annotated[
        float, Parameter(metavar="SECONDS", help="for how long the key that it had still holds")
    ] = 86_400,
    json: AsJson = False,
) -> None:
    """Give a key's name, with all that it may do, a new key, and print that, this once."""
    import secrets

    if not 0 <= overlap <= LONGEST_OVERLAP:
        raise WrongUsage(f"--overlap must be 0 to {LONGEST_OVERLAP}, not {overlap:g}")
    text, now = new_key(secrets.token_bytes(SECRET_BYTES)), wall_clock()

    async def renew(opened: Ledger) -> Key:
        known = {one.name: one for one in await opened.keys()}.get(name)
        if known is not None and not known.holds(now):
            raise Failed(f"the key {name} has {_ended(known)}; make one with another name")
        return await opened.rotate_key(name, digest(text), now + round(overlap * SECOND))

    try:
        on_ledger(ledger, renew)
    except UnknownKey:
        raise Failed(f"there is no key named {name}") from None
    if json:
        raw(msgspec.json.encode({"name": name, "key": text}))
    else:
        print(text)


@key.command(help_epilogue="")
def revoke(name: Named, /, *, ledger: LedgerUrl, json: AsJson = False) -> None:
    """Take a key back: within a minute nobody can do anything with it. Its name stays taken."""
    try:
        on_ledger(ledger, lambda opened: opened.revoke_key(name, wall_clock()))
    except UnknownKey:
        raise Failed(f"there is no key named {name}") from None
    if json:
        raw(msgspec.json.encode({"revoked": name}))


def _read(source: str) -> str:
    """The key in a file, or on stdin.  What is in it is never told."""
    import sys

    try:
        if source == "-":
            text = sys.stdin.read(LONGEST_FILE)
        else:
            with Path(source).open(encoding="utf-8") as file:
                text = file.read(LONGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8"
        raise Failed(f"--secret-file {source} cannot be read: {why}") from None
    if not is_key(text.strip()):
        raise WrongUsage("--secret-file must hold a key: unlost_ and 43 of A-Z a-z 0-9 _ -")
    return text.strip()


def _is_same(known: Key, new: Key, now: Micros) -> bool:
    """Whether what was to be made is there, and can be used."""
    alike = (known.name, known.scopes, known.types, known.rate)
    return alike == (new.name, new.scopes, new.types, new.rate) and known.is_known_by(
        new.secrets[0].digest, now
    )


def _in_the_way(known: Key, new: Key, now: Micros) -> str:
    if known.name != new.name:
        return f"this is the key of {known.name}; each name has a key of its own"
    if not known.has(new.secrets[0].digest):
        return f"there is already a key named {known.name}"
    if not known.holds(now):
        return f"the key {known.name} has {_ended(known)}; make one with another name"
    if not known.is_known_by(new.secrets[0].digest, now):
        return f"the key {known.name} was rotated: what the file holds is known no more"
    return f"the key {known.name} is there with other scopes or bounds; make one with another name"


def _ended(key: Key) -> str:
    return "expired" if key.revoked_at is None else "been revoked"


def _scopes(words: list[str]) -> frozenset[str]:
    try:
        return frozenset(KeyScope(one.strip()) for word in words for one in word.split(","))
    except ValueError:
        known = ", ".join(KeyScope)
        raise WrongUsage(f"--scope must be any of {known}, not {','.join(words)!r}") from None


def _name(name: str) -> str:
    if not (1 <= len(name) <= MAX_NAME and name.isprintable()):
        raise WrongUsage(f"--name must be 1 to {MAX_NAME} printable characters")
    return name


def _types(names: list[str] | None) -> tuple[str, ...] | None:
    for name in names or ():
        if not (1 <= len(name) <= MAX_TYPE and name.isprintable()):
            raise WrongUsage(f"--type must be 1 to {MAX_TYPE} printable characters")
    return tuple(sorted(set(names))) if names else None


def _bounded(flag: str, value: float | None, most: float) -> float | None:
    if value is not None and not 0 < value <= most:
        raise WrongUsage(f"{flag} must be above 0 and at most {most}, not {value:g}")
    return value


def _end(now: Micros, days: float | None) -> Micros | None:
    given = _bounded("--expires", days, LONGEST_DAYS)
    return None if given is None else now + round(given * DAY)
