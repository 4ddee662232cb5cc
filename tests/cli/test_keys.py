"""`unlost key`: keys are given out once, listed without themselves, renewed and taken back, over
every ledger."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.aws.emulator import Emulator
from tests.cli.conftest import Command
from tests.cli.ledgers import opened
from tests.ledger.tables import Table
from tests.postgres.databases import Database
from unlost.access.keys import Key, KeyScope, digest, new_key

SECRET = new_key(b"0" * 32)


@pytest.fixture(params=["sqlite", "postgres", "dynamodb"])
def keyring(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """The command with an empty ledger to keep keys in."""
    variables: dict[str, str] = {}
    with ExitStack() as homes:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path / 'kept.db'}"
        elif request.param == "postgres":
            database = Database(request.getfixturevalue("postgres"))
            homes.callback(database.drop)
            url = database.url
        else:
            emulator: Emulator = request.getfixturevalue("emulator")
            table = homes.enter_context(Table(emulator.url))
            variables = {k: v for k, v in emulator.environment.items() if k.startswith("AWS_")}
            url = f"dynamodb://{table.name}"
        command = Command(tmp_path, {**variables, "UNLOST_LEDGER": url})
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        made_anew(url)
        yield command


def made_anew(url: str) -> None:
    """Let there be a ledger."""

    async def look() -> None:
        async with opened(url):
            pass

    asyncio.run(look())


def kept(keyring: Command) -> dict[str, Key]:
    async def look() -> list[Key]:
        async with opened(keyring.variables["UNLOST_LEDGER"]) as ledger:
            return await ledger.keys()

    return {key.name: key for key in asyncio.run(look())}


def test_a_key_is_printed_once_and_only_its_hash_is_kept(keyring: Command) -> None:
    made = keyring("key", "create", "--scope", "submit,read", "--name", "shop")

    text = made.out.strip()
    assert (made.status, made.err) == (0, "")
    assert re.fullmatch(r"unlost_[A-Za-z0-9_-]{43}", text)
    key = kept(keyring)["shop"]
    assert key.scopes == {KeyScope.SUBMIT, KeyScope.READ}
    assert [secret.digest for secret in key.secrets] == [digest(text)]
    assert (key.types, key.rate, key.expires_at) == (None, None, None)


def test_bounds_are_kept_and_listed(keyring: Command) -> None:
    made = keyring(
        "key", "create", "--scope", "read", "--scope", "submit", "--name", "shop", "--json",
        "--type", "mail", "--type", "fax", "--rate", "2.5", "--expires", "0.5",
    )  # fmt: skip
    text = json.loads(made.out)["key"]
    assert json.loads(made.out) == {"name": "shop", "scopes": ["read", "submit"], "key": text}
    keyring("key", "create", "--scope", "operate", "--name", "later")

    plain, listed = keyring("key", "list"), keyring("key", "list", "--json")

    key, other = json.loads(listed.out)["keys"]
    assert (key["name"], key["scopes"], key["types"], key["rate"]) == (
        "shop", ["read", "submit"], ["fax", "mail"], 2.5,
    )  # fmt: skip
    assert (other["types"], other["rate"], other["expiresAt"], other["revokedAt"]) == (None,) * 4
    lasts = datetime.fromisoformat(key["expiresAt"]) - datetime.fromisoformat(key["createdAt"])
    assert lasts == timedelta(hours=12)
    assert plain.out.splitlines()[0].split() == [
        "NAME", "SCOPES", "TYPES", "RATE", "MADE", "LAST", "USED", "END",
    ]  # fmt: skip
    assert plain.out.splitlines()[1].split()[:4] == ["shop", "read,submit", "fax,mail", "2.5/s"]
    assert text not in plain.out + listed.out
    assert digest(text) not in plain.out + listed.out


def test_a_revoked_key_is_known_no_more_and_its_name_stays_taken(keyring: Command) -> None:
    for name in ("one", "two"):
        keyring("key", "create", "--scope", "read", "--name", name)

    assert json.loads(keyring("key", "revoke", "one", "--json").out) == {"revoked": "one"}
    assert keyring("key", "revoke", "one").status == 0

    again = keyring("key", "create", "--scope", "read", "--name", "one")
    assert (again.status, again.out) == (1, "")
    assert again.complaint == "unlost: there is already a key named one"
    keys = kept(keyring)
    assert (keys["one"].revoked_at is None, keys["two"].revoked_at is None) == (False, True)
    assert "revoked" in keyring("key", "list").out.splitlines()[1]
    assert keyring("key", "revoke", "none").complaint == "unlost: there is no key named none"
    told = keyring("key", "rotate", "one").complaint
    assert told == "unlost: the key one has been revoked; make one with another name"


def test_a_rotated_key_has_a_new_text_and_the_old_one_for_a_while(keyring: Command) -> None:
    first = keyring("key", "create", "--scope", "read", "--name", "one").out.strip()
    second = keyring("key", "rotate", "one").out.strip()
    answer = json.loads(keyring("key", "rotate", "one", "--overlap", "0", "--json").out)

    key = kept(keyring)["one"]
    now = time.time_ns() // 1_000
    assert answer == {"name": "one", "key": answer["key"]}
    assert [secret.digest for secret in key.secrets] == [
        digest(answer["key"]), digest(second), digest(first),
    ]  # fmt: skip
    assert [key.is_known_by(digest(text), now) for text in (answer["key"], second, first)] == [
        True, False, False,
    ]  # fmt: skip
    assert keyring("key", "rotate", "none").complaint == "unlost: there is no key named none"


def test_a_deploy_makes_its_key_as_often_as_it_likes(keyring: Command, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    words = ("key", "create", "--scope", "read", "--secret-file", str(file), "--name")

    results = [keyring(*words, "one") for _ in range(3)]
    told = json.loads(keyring(*words, "one", "--json").out)

    assert [one.status for one in results] == [0, 0, 0]
    assert [one.out for one in results] == [
        "the key one is made\n", "the key one is there already\n", "the key one is there already\n",
    ]  # fmt: skip
    assert told == {"name": "one", "scopes": ["read"], "made": False}
    assert [secret.digest for secret in kept(keyring)["one"].secrets] == [digest(SECRET)]
    complaint = keyring(*words, "two").complaint
    assert complaint == "unlost: this is the key of one; each name has a key of its own"
    assert "other scopes or bounds" in keyring(*words, "one", "--rate", "1").complaint
    keyring("key", "rotate", "one")
    assert keyring(*words, "one").status == 0  # it is known for a day
    keyring("key", "rotate", "one", "--overlap", "0")
    assert "was rotated" in keyring(*words, "one").complaint
    keyring("key", "revoke", "one")
    assert "has been revoked" in keyring(*words, "one").complaint


@pytest.fixture
def local(tmp_path: Path) -> Command:
    url = f"sqlite:///{tmp_path / 'kept.db'}"
    made_anew(url)
    return Command(tmp_path, {"UNLOST_LEDGER": url})


def test_the_first_key_may_come_before_the_first_start(tmp_path: Path) -> None:
    command = Command(tmp_path, {"UNLOST_LEDGER": f"sqlite:///{tmp_path / 'new.db'}"})
    words = ("key", "create", "--scope", "read", "--name")
    made = command(*words, "zero")
    assert kept(command)["zero"].has(digest(made.out.strip()))
    command = Command(tmp_path, {"UNLOST_LEDGER": f"sqlite:///{tmp_path / 'newer.db'}"})
    result = command.fed(SECRET.encode(), *words, "one", "--secret-file", "-")
    assert (result.status, result.out) == (0, "the key one is made\n")
    assert kept(command)["one"].has(digest(SECRET))


def test_a_key_is_not_made_for_a_ledger_in_memory_which_ends_with_the_command(
    tmp_path: Path,
) -> None:
    command = Command(tmp_path, {"UNLOST_LEDGER": "memory://"})
    words = ("key", "create", "--scope", "read", "--name", "one")
    assert "there is nothing in memory://" in command(*words).complaint
    again = command.fed(SECRET.encode(), *words, "--secret-file", "-")
    assert "there is nothing in memory://" in again.complaint


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "must hold a key"),
        (SECRET[:-1].encode(), "must hold a key"),
        (SECRET.encode() * 2, "must hold a key"),
        (b"unlost_" + b"\xff" * 43, "cannot be read: it is not UTF-8"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_a_secret_file_holds_is_never_told(
    local: Command, tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    words = ("key", "create", "--scope", "read", "--name", "x", "--secret-file", "secret")
    told = local(*words)
    assert told.status in (1, 2)
    assert complaint in told.complaint
    assert SECRET[10:30] not in told.err
    assert kept(local) == {}


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (("create", "--scope", "all", "--name", "x"), 2, "--scope must be any of submit, metrics"),
        (("create", "--scope", "", "--name", "x"), 2, "--scope must be any of"),
        (("create", "--scope", "read", "--name", ""), 2, "--name must be 1 to 100"),
        (("create", "--scope", "read", "--name", "x\ny"), 2, "--name must be 1 to 100"),
        (("create", "--scope", "read"), 2, "--name"),
        (("create", "--scope", "read", "--name", "x", "--type", ""), 2, "--type must be 1 to 100"),
        (("create", "--scope", "read", "--name", "x", "--rate", "0"), 2, "--rate must be above 0"),
        (("create", "--scope", "read", "--name", "x", "--rate", "nan"), 2, "--rate must be"),
        (("create", "--scope", "read", "--name", "x", "--expires", "-1"), 2, "--expires must be"),
        (("rotate", "x", "--overlap", "-1"), 2, "--overlap must be 0 to"),
        (("list", "--ledger", "memory://"), 2, "one process only"),
        (("list", "--ledger", "sqlite:///none.db"), 1, "does not exist"),
    ],
)
def test_what_cannot_be_is_one_line(
    local: Command, words: tuple[str, ...], status: int, complaint: str
) -> None:
    result = local("key", *words)

    assert result.status == status
    assert complaint in result.complaint
    assert kept(local) == {}
