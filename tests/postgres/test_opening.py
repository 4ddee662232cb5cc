"""Opening: what is refused and in which words, and how the tables come to be."""

from __future__ import annotations

import asyncio
import logging

import psycopg
import pytest

from tests.conformance.stage import submission
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit, NotALedger
from unlost.settings import WrongSetting

SECRET = "0pen-sesame"


async def refusal(url: str, *, must_exist: bool = False) -> Exception:
    """Why this URL is refused: one line, without its password."""
    with pytest.raises((WrongSetting, NotALedger, LedgerUnavailable)) as refused:
        await open_ledger(url, must_exist=must_exist)
    said = str(refused.value)
    assert SECRET not in said
    assert Server.password not in said
    assert "\n" not in said
    return refused.value


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{SECRET}@127.0.0.1:5432/db?no_such_option={SECRET}",
        f"postgresql://ann:{SECRET}@127.0.0.1:port{SECRET}/db",
        f"postgresql://ann:{SECRET}@[127.0.0.1/db",
        f"postgres:/ann:{SECRET}@127.0.0.1/db",
    ],
)
async def test_a_url_that_is_none_is_a_wrong_setting(url: str) -> None:
    assert isinstance(await refusal(url), WrongSetting)


async def test_a_wrong_password_is_a_wrong_setting(postgres: Server) -> None:
    url = postgres.url().replace(Server.password, SECRET)
    assert isinstance(await refusal(url), WrongSetting)


async def test_a_database_that_is_not_there_is_a_wrong_setting(postgres: Server) -> None:
    assert isinstance(await refusal(postgres.url("nowhere")), WrongSetting)


async def test_where_nobody_listens_the_ledger_is_unavailable() -> None:
    url = f"postgresql://ann:{SECRET}@127.0.0.1:1/db"
    assert isinstance(await refusal(url), LedgerUnavailable)


async def test_the_other_scheme_is_the_same(database: Database) -> None:
    ledger = await open_ledger(database.url.replace("postgresql://", "postgres://"))
    await ledger.ping()
    await ledger.close()


def empty(postgres: Server, name: str, **options: str) -> str:
    """The URL of a new database without anything in it."""
    with postgres.connect() as db:
        db.execute(f"DROP DATABASE IF EXISTS {name}")
        settings = " ".join(f"{option} {value}" for option, value in options.items())
        db.execute(f"CREATE DATABASE {name} {settings}")
    return postgres.url(name)


async def test_the_tables_are_made_unless_they_must_be_there(postgres: Server) -> None:
    url = empty(postgres, "fresh")
    assert isinstance(await refusal(url, must_exist=True), NotALedger)
    ledger = await open_ledger(url)
    await ledger.close()
    again = await open_ledger(url, must_exist=True)
    assert (await again.counts()).accepted == 0
    await again.close()


async def test_many_may_make_the_tables_at_once(postgres: Server) -> None:
    url = empty(postgres, "raced")
    ledgers = await asyncio.gather(*(open_ledger(url) for _ in range(6)))
    for number, ledger in enumerate(ledgers):
        await ledger.submit([submission(f"t{number}")])
    assert (await ledgers[0].counts()).accepted == 6
    await asyncio.gather(*(ledger.close() for ledger in ledgers))


async def test_a_strangers_schema_is_left_alone(postgres: Server) -> None:
    url = empty(postgres, "strange")
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE SCHEMA unlost; CREATE TABLE unlost.theirs (n int)")
        assert isinstance(await refusal(url), NotALedger)
        db.execute("DROP TABLE unlost.theirs; CREATE TABLE unlost.ledger (n int)")
        assert isinstance(await refusal(url), NotALedger)


async def test_newer_tables_are_used_only_if_they_say_that_this_version_may(
    postgres: Server,
) -> None:
    url = empty(postgres, "newer")
    await (await open_ledger(url)).close()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("UPDATE unlost.ledger SET version = 99")
        await (await open_ledger(url)).close()
        db.execute("UPDATE unlost.ledger SET compatible = 99")
    assert "newer version" in str(await refusal(url))


async def test_another_encoding_is_refused(postgres: Server) -> None:
    url = empty(postgres, "latin", ENCODING="'LATIN1'", TEMPLATE="template0")
    assert "LATIN1" in str(await refusal(url))


async def test_who_may_not_make_the_tables_is_told_so(postgres: Server) -> None:
    empty(postgres, "forbidden")
    with postgres.connect() as db:
        db.execute("DROP ROLE IF EXISTS guest")
        db.execute(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'")
    url = postgres.url("forbidden").replace(f"unlost:{Server.password}", f"guest:{SECRET}")
    refused = await refusal(url)
    assert isinstance(refused, LedgerUnfit)
    assert "GRANT CREATE ON DATABASE forbidden TO guest" in str(refused)


async def test_a_server_that_does_not_sync_is_refused() -> None:
    with Server(fsync="off") as server:
        assert "fsync=off" in str(await refusal(server.url()))


async def test_no_log_line_has_the_password(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        ledger = await open_ledger(database.url)
        await ledger.wait(0.1)
        await ledger.close()
    assert Server.password not in caplog.text
