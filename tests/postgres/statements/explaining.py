"""A connection that explains what is sent on it, before it is done, and commits nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncCursor
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Literal

from unlost.ledger.postgres.connection.arrays import Array
from unlost.ledger.postgres.connection.connecting import Connection
from unlost.ledger.postgres.connection.pipeline import Answer, Pipeline, Values

VERB: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")

PARAMETER: Final = re.compile(r"%(?:\((\w+)\))?s|%%")

MODES: Final = ("force_custom_plan", "force_generic_plan")

EXPLAIN: Final = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE looked"

SCANS: Final = re.compile(r"Scan$")


@dataclass(frozen=True)
class Looked:
    """What a statement did.  `rows` are those that it looked at, by table and by what else in its
    plan had some; `pages` are those that its scans of a table touched, by index."""

    sql: str
    mode: str
    rows: Counter[str]
    pages: Counter[str]
    plan: Mapping[str, Any]


class Explaining(Connection):
    """Explains each statement in a transaction, with a custom and a generic plan."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.sent: set[str] = set()
        self.looked: list[Looked] = []
        self.modes: tuple[str, ...] = MODES

    def statements(self) -> Pipeline:
        return OneByOne(self)

    async def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool = False
    ) -> AsyncCursor[tuple[Any, ...]]:
        if VERB.match(query):
            self.sent.add(query)
            known = any(query == looked.sql for looked in self.looked)
            if not known and self.info.transaction_status is TransactionStatus.INTRANS:
                self.looked += [await self._explain(query, params, mode) for mode in self.modes]
        return await super().execute(
            "ROLLBACK" if query == "COMMIT" else query, params, prepare=prepare, binary=binary
        )

    async def _explain(self, sql: str, values: Any, mode: str) -> Looked:
        given: list[Any] = []
        known = Transformer(self)

        def place(match: re.Match[str]) -> str:
            if match[0] == "%%":
                return "%"
            given.append(values[match[1] or len(given)])
            return f"${len(given)}"

        numbered = PARAMETER.sub(place, sql)
        oids = [
            0 if value is None else known.get_dumper(value, PyFormat.AUTO).upgrade(
                value, PyFormat.AUTO).oid for value in given
        ]  # fmt: skip
        types = [await self._type(oid) for oid in oids]
        run = super().execute
        await run("SAVEPOINT looked")
        await run(SQL("SET LOCAL plan_cache_mode = {}").format(Literal(mode)))
        of = f"({', '.join(types)})" if types else ""
        await run(f"PREPARE looked{of} AS {numbered}".encode())
        said = [Literal(one.values if isinstance(one, Array) else one) for one in given]
        values_ = SQL("({})").format(SQL(", ").join(said)) if said else SQL("")
        cursor = await run(SQL(EXPLAIN) + values_)
        row = await cursor.fetchone()
        await run("ROLLBACK TO looked")
        await run("DEALLOCATE looked")
        assert row is not None
        plan = row[0][0]["Plan"]
        return Looked(sql, mode, *looked_at(plan), plan)

    async def _type(self, oid: int) -> str:
        if oid not in _types:
            cursor = await super().execute("SELECT %s::oid::regtype::text", [oid])
            row = await cursor.fetchone()
            assert row is not None
            _types[oid] = row[0]
        return _types[oid]


class OneByOne(Pipeline):
    """Sends each statement by itself."""

    def __init__(self, db: Explaining) -> None:
        self._db = db
        self._queue: list[tuple[str, Values, Answer]] = []

    def send(self, sql: str, values: Values = None) -> Answer:
        answer = Answer(Transformer(self._db))
        self._queue.append((sql, values, answer))
        return answer

    async def exchange(self, *, last: bool) -> None:
        for sql, values, answer in self._queue:
            answer.result = (await self._db.execute(sql, values)).pgresult
        self._queue.clear()


_types: dict[int, str] = {0: "unknown"}


def looked_at(plan: Mapping[str, Any]) -> tuple[Counter[str], Counter[str]]:
    """The rows and the pages of a plan's nodes."""
    rows: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    kind = plan["Node Type"]
    removed = sum(
        plan.get(f"Rows Removed by {what}", 0)
        for what in ("Filter", "Index Recheck", "Join Filter", "Conflict Filter")
    )
    found = round((plan["Actual Rows"] + removed) * plan["Actual Loops"])
    name = plan.get("Relation Name") or plan.get("Index Name") or plan.get("CTE Name")
    if kind != "ModifyTable":
        rows[name or f"{kind} {plan.get('Alias', '')}{id(plan)}"] += found
    if SCANS.search(kind) and ("Relation Name" in plan or "Index Name" in plan):
        below = sum(map(_touched, plan.get("Plans", ())))
        pages[str(plan.get("Index Name") or name)] += _touched(plan) - below
    for part in plan.get("Plans", ()):
        more_rows, more_pages = looked_at(part)
        rows += more_rows
        pages += more_pages
    return rows, pages


def _touched(plan: Mapping[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
