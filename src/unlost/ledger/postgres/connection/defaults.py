"""What a server, a database or a role has by default, and unlost does not overrule."""

from __future__ import annotations

from typing import Final

from unlost.ledger.postgres.connection.rights import Ask

READ_ONLY: Final = "default_transaction_read_only"

SOURCES: Final = {
    "user": "ALTER ROLE {role} RESET {name}",
    "database": "ALTER DATABASE {database} RESET {name}",
    "database user": "ALTER ROLE {role} IN DATABASE {database} RESET {name}",
    "client": "take it out of --ledger",
    "environment variable": "take it out of PGOPTIONS",
}
"""Where a setting comes from, and how it is taken back there."""

ELSEWHERE: Final = "ALTER SYSTEM RESET {name}, or change the server's configuration"

SETTINGS: Final = """
SELECT name, setting, source FROM pg_catalog.pg_settings
WHERE name = 'default_transaction_read_only' AND setting = 'on'
   OR name = 'idle_session_timeout' AND setting <> '0'
   OR name = 'statement_timeout' AND setting <> '0'
   OR name IN ('autovacuum', 'track_counts', 'full_page_writes') AND setting = 'off'
ORDER BY name
"""

WHO: Final = """
SELECT pg_catalog.quote_ident(session_user), pg_catalog.quote_ident(pg_catalog.current_database())
"""

MEANT: Final = {
    READ_ONLY: "nothing can be written",
    "autovacuum": "tables grow without end",
    "full_page_writes": "a power cut of the server may damage its tables",
    "idle_session_timeout": "connections that listen are ended, and hints come up to a second late",
    "statement_timeout": "it ends vacuums, and claims grow slower",
    "track_counts": "there is no autovacuum: tables grow without end",
}


async def hostile(ask: Ask) -> dict[str, str]:
    """What of it does harm, by name: each with the harm, and how it is taken back.

    Raises what `ask` raises.
    """
    [(role, database)] = await ask(WHO)
    told = {}
    for name, value, source in await ask(SETTINGS):
        cure = SOURCES.get(source, ELSEWHERE).format(name=name, role=role, database=database)
        told[name] = f"{name} is {value}: {MEANT[name]} ({cure})"
    return told
