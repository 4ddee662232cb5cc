"""What a server, a database or a role has by default: it changes nothing, or it is told."""

from __future__ import annotations

import pytest

from tests.conformance.stage import submission
from tests.postgres.pooler import Pooler
from tests.postgres.roles import MINE, Tenant, use
from tests.postgres.server import Server
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres.connection.connecting import Place
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.store import Store
from unlost.ledger.postgres.connection.transaction import HERE, Row, Transaction
from unlost.ledger.protocol import Ledger, LedgerUnfit
from unlost.ledger.values import Claim, Worker
from unlost.policy import Limits
from unlost.task import SECOND

HOSTILE = {
    "array_nulls": "off",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "client_min_messages": "error",
    "DateStyle": "German",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "enable_indexscan": "off",
    "enable_nestloop": "off",
    "exit_on_error": "on",
    "extra_float_digits": "-15",
    "idle_in_transaction_session_timeout": "1",
    "idle_session_timeout": "1000",
    "IntervalStyle": "sql_standard",
    "lock_timeout": "1",
    "row_security": "on",
    "search_path": "evil, pg_catalog",
    "standard_conforming_strings": "off",
    "statement_timeout": "2000",
    "synchronous_commit": "off",
    "TimeZone": "'Pacific/Chatham'",
    "transaction_timeout": "2000",
    "transform_null_equals": "on",
}

EVIL = """
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT '1' $$;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql
  AS $$ SELECT '1999-01-01'::timestamptz $$;
CREATE FUNCTION evil.decode(text, text) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$;
CREATE FUNCTION evil.mod(integer, integer) RETURNS integer LANGUAGE sql AS $$ SELECT -1 $$
"""

SNOWMAN = '{"text":"\N{SNOWMAN}"}'
TIMEOUT = 0.12345678901234567


def hostile(postgres: Server, name: str, whose: str) -> Tenant:
    """A database where `whose`, a role or the database, has the worst of defaults."""
    tenant = Tenant(postgres, name)
    sets = [f"ALTER {whose} SET {setting} = {value}" for setting, value in HOSTILE.items()]
    tenant.do(EVIL, *sets)
    return tenant


async def keep(ledger: Ledger) -> None:
    """What is kept comes back as it went in, at the time of the server's clock."""
    await ledger.submit([submission("snow", SNOWMAN, timeout=TIMEOUT)])
    await ledger.enlist(Worker("w"), 60 * SECOND)
    claimed = {one.task_id: one for one in await ledger.claim(claim())}
    assert (claimed["snow"].payload, claimed["snow"].timeout) == (SNOWMAN, TIMEOUT)
    assert claimed["snow"].submitted_at > 1_700_000_000 * SECOND
    assert len(await ledger.submit([submission("snow", SNOWMAN, timeout=TIMEOUT)])) == 1


def claim() -> Claim:
    return Claim("w", [f"t{number}" for number in range(200)], None, Limits(2, 60.0))


async def settings(url: str) -> dict[str, str]:
    """What holds within a step's transaction."""
    names = ["transaction_isolation", "transaction_timeout", *HERE]
    store = Store(Pool(Place(url)), None, lambda _: None)

    async def ask(transaction: Transaction) -> list[Row]:
        return await transaction.rows("SELECT name, setting, unit FROM pg_settings")

    found = {name: f"{value}{unit or ''}" for name, value, unit in await store.write(ask)}
    await store.close()
    return {name: found[name] for name in names}


async def test_defaults_of_a_role_change_nothing(postgres: Server) -> None:
    tenant = hostile(postgres, "bad_role", "ROLE app")
    tenant.do("ALTER DATABASE bad_role OWNER TO app")
    await use(tenant.app)
    ledger = await open_ledger(tenant.app)
    await keep(ledger)
    await ledger.close()


async def test_defaults_of_a_database_change_nothing_behind_a_pooler(postgres: Server) -> None:
    tenant = hostile(postgres, "bad_database", "DATABASE bad_database")
    with Pooler(postgres) as pooler:
        url = pooler.url(tenant.name)
        await use(url)
        ledger = await open_ledger(url)
        await keep(ledger)
        await ledger.close()
        assert await settings(url) == HERE | {
            "transaction_isolation": "read committed",
            "transaction_timeout": "0ms",
            "lock_timeout": "5000ms",
            "statement_timeout": "30000ms",
            "idle_in_transaction_session_timeout": "10000ms",
        }


READ_ONLY = {
    "role": "ALTER ROLE app SET default_transaction_read_only = on",
    "database": "ALTER DATABASE read_only SET default_transaction_read_only = on",
    "both": "ALTER ROLE app IN DATABASE read_only SET default_transaction_read_only = on",
}


@pytest.mark.parametrize("whose", READ_ONLY)
async def test_a_role_that_is_read_only_by_default_is_told_so_and_by_whom(
    postgres: Server, whose: str
) -> None:
    tenant = Tenant(postgres, "read_only")
    await tenant.made()
    tenant.do(*MINE, READ_ONLY[whose])
    with pytest.raises(LedgerUnfit, match="is read-only") as refused:
        await open_ledger(tenant.app)
    assert "cannot be reached" not in str(refused.value)
    seen = await open_ledger(tenant.app, must_exist=True)
    assert (await seen.counts()).accepted == 0, "what only reads goes on"
    with pytest.raises(LedgerUnfit, match="RESET") as submitted:
        await seen.submit([submission("a")])
    assert tenant.told(str(submitted.value)) == tenant.told(str(refused.value))
    assert submitted.value.words == "is read-only"
    await seen.close()
    tenant.do(*tenant.told(str(refused.value)))
    await use(tenant.app)
