"""What a role may do with the ledger's tables, and the statements that give it what it lacks.

A right is asked of the server beforehand: what fails for want of one fails for ever, and says less.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

# Of sequences only the one that is named in statements: for identity columns none is needed.
RELATIONS: Final = """
  SELECT c.oid, c.relname, c.relowner, c.relkind = 'S' AS is_sequence,
         'unlost.' || pg_catalog.quote_ident(c.relname) AS name
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = 'unlost' AND (c.relkind IN ('r', 'p') OR c.relname = 'task_seq_seq')
"""

LACKING: Final = f"""
WITH relation AS ({RELATIONS}), needed AS (
  SELECT relation.*, one.privilege, one.turn FROM relation CROSS JOIN LATERAL pg_catalog.unnest(
    CASE WHEN is_sequence THEN ARRAY['USAGE'] WHEN relname = 'ledger' THEN ARRAY['SELECT']
         ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] END
  ) WITH ORDINALITY AS one (privilege, turn)
), lacking AS (
  SELECT name, is_sequence, pg_catalog.string_agg(privilege, ', ' ORDER BY turn) AS privileges
  FROM needed WHERE NOT CASE
    WHEN is_sequence THEN pg_catalog.has_sequence_privilege(oid, privilege)
    ELSE pg_catalog.has_table_privilege(oid, privilege) END
  GROUP BY name, is_sequence
)
SELECT is_sequence, privileges, pg_catalog.array_agg(name ORDER BY name),
       pg_catalog.count(*) >= (SELECT pg_catalog.count(*) - 2 FROM relation)
FROM lacking GROUP BY is_sequence, privileges ORDER BY is_sequence, privileges
"""

HIDDEN: Final = f"""
SELECT name FROM ({RELATIONS}) AS relation
WHERE NOT is_sequence AND pg_catalog.row_security_active(oid) ORDER BY name
"""

SCHEMA: Final = """
SELECT pg_catalog.quote_ident(current_user), pg_catalog.quote_ident(pg_catalog.current_database()),
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
       pg_catalog.pg_get_userbyid(schema.nspowner),
       pg_catalog.has_schema_privilege(schema.oid, 'USAGE'),
       pg_catalog.has_schema_privilege(schema.oid, 'CREATE')
FROM (SELECT) AS one LEFT JOIN pg_catalog.pg_namespace AS schema ON schema.nspname = 'unlost'
"""

MAINTAIN: Final = 170_000
"""From this version of the server on, others than the owner can be allowed to vacuum."""

MAY_MAINTAIN: Final = "SELECT pg_catalog.has_table_privilege('unlost.open_task', 'MAINTAIN')"

VACUUM: Final = """
SELECT pg_catalog.quote_ident(current_user), pg_catalog.pg_get_userbyid(c.relowner),
       pg_catalog.current_setting('server_version_num')::integer
FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass('unlost.open_task')
  AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
"""

OWNERS: Final = f"""
SELECT DISTINCT pg_catalog.pg_get_userbyid(relowner) FROM ({RELATIONS}) AS relation
WHERE NOT pg_catalog.pg_has_role(relowner, 'USAGE') ORDER BY 1
"""


Ask = Callable[[str], Awaitable[list[tuple[Any, ...]]]]
"""Tells the rows of a statement.  What it raises, all of the following raise."""


async def to_use(ask: Ask) -> str | None:
    """What to do so that this role may do all that a service does; None where it may."""
    [(role, _, _, owner, usage, _)] = await ask(SCHEMA)
    statements = [] if usage or owner is None else [f"GRANT USAGE ON SCHEMA unlost TO {role}"]
    statements += [_grant(role, *row) for row in await ask(LACKING)]
    statements += [
        f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY" for (name,) in await ask(HIDDEN)
    ]
    return f"as {owner}: {'; '.join(statements)}" if statements else None


def _grant(role: str, is_sequence: bool, privileges: str, names: Sequence[str], all_: bool) -> str:
    what = f"{'SEQUENCE ' if is_sequence else ''}{', '.join(names)}"
    if all_ and not is_sequence:
        what = "ALL TABLES IN SCHEMA unlost"
    return f"GRANT {privileges} ON {what} TO {role}"


async def to_make(ask: Ask) -> str | None:
    """What to do so that this role may make the tables; None where it may."""
    [(role, database, may_create, owner, usage, create)] = await ask(SCHEMA)
    if owner is None and not may_create:
        return f"as the database's owner: GRANT CREATE ON DATABASE {database} TO {role}"
    if owner is not None and not (usage and create):
        return f"as {owner}: GRANT USAGE, CREATE ON SCHEMA unlost TO {role}"
    return None


async def to_vacuum(ask: Ask) -> str | None:
    """What it means that this role may not vacuum, and what to do about it; None where it may."""
    for role, owner, server in await ask(VACUUM):
        if server >= MAINTAIN and (await ask(MAY_MAINTAIN))[0][0]:
            return None
        grant = f"as {owner}: GRANT MAINTAIN ON unlost.open_task TO {role}"
        cure = grant if server >= MAINTAIN else f"only {owner} may, before PostgreSQL 17"
        return f"workers may not vacuum, and claims grow slower between autovacuums ({cure})"
    return None


async def to_migrate(ask: Ask) -> str | None:
    """What to do so that the tables are brought to this version; None where this role may."""
    owners = [owner for (owner,) in await ask(OWNERS)]
    if owners:
        return f"start a service once as their owner, {', '.join(owners)}"
    return await to_make(ask)
