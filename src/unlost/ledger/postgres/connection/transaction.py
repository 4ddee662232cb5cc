"""One transaction: what is done in it, counted in it, and told after it.

Its statements travel as a pipeline: they are sent without waiting for each other's answers, and
a round trip is made only where a step wants to see rows before it goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from unlost.ledger.postgres.connection.connecting import Connection
from unlost.ledger.postgres.connection.pipeline import Answer
from unlost.ledger.postgres.schema import HEARS, SLOT
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken, named
from unlost.task import TERMINAL, Micros, State

Row = tuple[Any, ...]

HINT_WITHIN: Final[Micros] = 1_000_000
"""Workers look by themselves after this long, so only what is due sooner is worth a hint."""

NOW: Final = "current_setting('unlost.now')::bigint"
"""The ledger's time, in SQL: one moment for a whole transaction."""

NOW_ONCE: Final = f"(SELECT {NOW})"
"""The same, for values of many rows: read once a statement.  A scan reads it once in any case."""

SEQS: Final = "ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text(%(seqs)s::json)))"
"""What equals one of the numbers in a parameter.  As an array, they are looked up one by one,
whatever the planner thinks of the table's size; but by any index of that column (see `lookup`)."""

BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
BEGIN_LOOKING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
"""To write; to see all of one moment; to see with each statement what is there by then."""

NOBODY: Final[Woken] = frozenset()

GO_ON: Final = "RESET ROLE"
"""To write in a transaction that somebody else has begun, as the role that the ledger is."""

HERE: Final = {
    # The planner is told what it cannot know of a table that was empty when it last looked: to go
    # by the indexes, in their order.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_mergejoin": "off",
    "enable_indexscan": "on",
    "enable_nestloop": "on",
    "jit": "off",
    # A claim's plan takes as long as a claim; by the guessed costs it was made anew each time.
    "plan_cache_mode": "force_generic_plan",
    # What hangs with a transaction open must not keep its locks for long.
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "10s",
    # Nobody else's functions and operators stand in for the server's own, rows that are hidden are
    # an error, numbers come as they are.
    "search_path": "pg_catalog, pg_temp",
    "row_security": "off",
    "extra_float_digits": "1",
    "synchronous_commit": "on",
    "client_min_messages": "error",
}
"""What holds in each transaction, whatever the server, the database or the role have by default.

It is set there and not for the session, which behind a pooler is another one each time.
"""

SET: Final = ", ".join(
    f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in HERE.items()
)

SETTINGS: Final = f"""
SELECT pg_catalog.set_config('unlost.now', coalesce(%(now)s::bigint,
         (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint)::text, true),
       EXISTS (SELECT FROM unlost.watcher WHERE until > pg_catalog.clock_timestamp()),
       EXISTS (SELECT FROM unlost.watcher WHERE until > pg_catalog.clock_timestamp()
               AND id NOT LIKE '{HEARS}%%'),
       EXISTS (SELECT FROM unlost.control),
       pg_catalog.num_nulls(  -- one column for all, whose descriptions would come each time
         CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL
              THEN pg_catalog.set_config('transaction_timeout', '0', true) END,  -- from 17 on
         {SET})
"""

# So the warnings that come from here on are those of the commit: that it could not wait for a
# standby, of which nothing else tells.
HEAR_WARNINGS: Final = "SELECT set_config('client_min_messages', 'warning', true)"


class Transaction:
    """The statements of one step, all done or none, begun as `how` says.

    `now` is the ledger's time for all of them, known once rows were read.  Counters are written
    at the end.
    """

    def __init__(self, db: Connection, how: str, now: Micros | None) -> None:
        self._db = db
        self._statements = db.statements()
        self._how = how
        self._given = now
        self._begun: Answer | None = None
        self._now: Micros | None = None
        self._heard = False
        self._watched = False
        self._controlled = False
        self._tally: Counter[str] = Counter()
        self.transitions: list[Iterable[Transition]] = []  # made only where somebody hears of them
        self.wake = False
        self.begun = False  # whether a redrive has
        self.submitted = 0  # tasks
        self.hinted: Woken = NOBODY  # of what is told right behind the commit
        self.made_due: dict[str, Micros] = {}  # by type, what is due soonest
        self.committing = False
        self.at_end: list[Callable[[bool], None]] = []  # hear whether it was committed
        self._behind: tuple[str, Sequence[Any]] | None = None

    @property
    def now(self) -> Micros:
        """The ledger's time; there once rows were read."""
        if self._now is None:
            raise RuntimeError("no rows were read yet")
        return self._now

    @property
    def heard(self) -> bool:
        """Whether notifications reach anybody."""
        return self._heard

    @property
    def watched(self) -> bool:
        """Whether anybody elsewhere wants to hear of transitions."""
        return self._watched

    @property
    def controlled(self) -> bool:
        """Whether anything is set for any type; known once rows were read."""
        return self._controlled

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return self._how in (BEGIN, GO_ON)

    @property
    def begun_elsewhere(self) -> bool:
        """Whether its commit has to wait for its step's end: it holds more than that has done."""
        return self._how == GO_ON

    @property
    def warning(self) -> str | None:
        """What the server said of the commit, though it was done; known once all is answered."""
        return self._db.warnings[0] if self.writes and self._db.warnings else None

    async def begin(self) -> None:
        """Begin, with the first statement."""
        self._db.warnings.clear()
        await self.do(self._how)
        self._begun = await self.ask(SETTINGS, {"now": self._given})

    async def do(self, sql: str, values: Mapping[str, Any] | None = None) -> None:
        """Send a statement whose answer nobody needs; its failure is the transaction's."""
        self._statements.send(sql, values)

    async def ask(self, sql: str, values: Mapping[str, Any] | None = None) -> Answer:
        """Send a statement whose rows are read later, with `read`."""
        return self._statements.send(sql, values)

    async def read(self, asked: Answer) -> list[Row]:
        """The rows of what was asked; a round trip for all that was sent."""
        if asked.result is None:
            await self._exchange()
        return asked.rows

    async def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a statement."""
        return await self.read(await self.ask(sql, values))

    async def last(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of the last statement, sent together with the commit."""
        asked = await self.ask(sql, values)
        await self.commit()
        return await self.read(asked)

    async def commit(self) -> None:
        """Write the counters and commit; what follows is only reading."""
        if self.committing:
            return
        if self.writes:
            await self._write_tally()
            await self.do(HEAR_WARNINGS)
        self.committing = True
        await self.do("COMMIT")
        if self._behind is not None:
            self._statements.send_behind(*self._behind)

    def behind(self, sql: str, values: Sequence[Any]) -> None:
        """Have a statement sent with the commit that is a transaction of its own after it, and
        whose failure is nobody's."""
        self._behind = sql, values

    async def learn(self) -> None:
        """See all to its end; `now`, `heard` and `watched` are known from then on."""
        await self._exchange()

    async def _exchange(self) -> None:
        await self._statements.exchange(last=self.committing)
        if self._now is None and self._begun is not None:
            ((now, self._heard, self._watched, self._controlled, *_),) = self._begun.rows
            self._now = int(now)

    def moved(self, before: State, after: State, count: int = 1) -> None:
        """Count tasks that went from one state to another."""
        self._tally[before] -= count
        self._tally[after] += count
        if after in TERMINAL:
            self._tally["settled"] += count

    def tell(self, task_id: str, task_type: str, state: State, attempt: int) -> None:
        """Let those who watch know of a transition, once it is committed."""
        self.transitions.append((Transition(task_id, task_type, state, attempt, self.now),))

    def tell_all(self, moved: Iterable[tuple[str, str, State, int]]) -> None:
        """The same of several, which are looked at only where somebody watches."""
        now = self.now
        self.transitions.append(Transition(*one, now) for one in moved)

    def due(self, at: Micros, task_type: str) -> None:
        """A task is due at this time: wake the workers, if they would not look before."""
        if at - self.now < HINT_WITHIN:
            self.made_due[task_type] = min(at, self.made_due.get(task_type, at))

    @property
    def woken(self) -> Woken:
        """The types of which workers are to look for tasks, none at all included."""
        return None if self.wake else named(self.made_due)

    async def _write_tally(self) -> None:
        changed = {str(name): n for name, n in self._tally.items() if n}
        if changed:
            sets = ", ".join(f"{name} = {name} + %({name})s" for name in sorted(changed))
            await self.do(f"UPDATE unlost.tally SET {sets} WHERE slot = {SLOT}", changed)


def packed(items: Any) -> str:
    """Values as one parameter: JSON text, which the server takes apart by itself.

    For arrays of values the driver would look at each of them in Python.
    """
    return msgspec.json.encode(items).decode()


def text(words: str | None) -> str | None:
    """Words for people, as PostgreSQL can keep them: it has no NUL, so its picture stands in."""
    return None if words is None else words.replace("\0", "\N{SYMBOL FOR NULL}")


def cannot_be(words: str | None) -> bool:
    """Whether no stored text can be equal to this one."""
    return words is not None and "\0" in words
