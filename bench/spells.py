"""What PostgreSQL did in a spell of time: buffers by step, and how the tables grew."""

from __future__ import annotations

import contextlib
from statistics import median
from typing import Any, Final

import msgspec
import psutil
import psycopg

STEP_NAMES: Final = ("claim", "settle", "submit", "rest")

# The statements of each step, by words that only they have.
STEPS: Final = """
SELECT CASE
    WHEN query LIKE '%locked AS MATERIALIZED%' THEN 'claim'
    WHEN query LIKE '%unlost.payload (seq, text) SELECT seq, payload%' THEN 'submit'
    WHEN query LIKE '%DELETE FROM unlost.open_task%' OR query LIKE '%INTO unlost.attempt%'
      OR query LIKE '%wanted.id OFFSET%FOR UPDATE%' OR query LIKE '%SET state = item.state%'
      OR query LIKE '%INTO unlost.dead%' THEN 'settle'
    ELSE 'rest' END AS step,
  sum(shared_blks_hit + shared_blks_read)::bigint
FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
WHERE datname = current_database()
GROUP BY step
"""

SIZES: Final = """
SELECT pg_table_size('unlost.open_task'), pg_relation_size('unlost.open_task_due'),
  pg_relation_size('unlost.open_task_pkey') + pg_relation_size('unlost.open_task_running'),
  pg_table_size('unlost.task'), pg_indexes_size('unlost.task'),
  (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'unlost.open_task'::regclass),
  (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'unlost.task'::regclass),
  (SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'unlost.task'::regclass),
  (SELECT n_tup_upd FROM pg_stat_user_tables WHERE relid = 'unlost.task'::regclass),
  pg_current_wal_insert_lsn() - '0/0', (SELECT wal_fpi FROM pg_stat_wal)
"""


class Look(msgspec.Struct, frozen=True):
    """What the server has done so far; sizes in bytes."""

    open_task: int
    due: int
    other_indexes: int
    task: int
    task_indexes: int
    dead_open: int
    dead_task: int
    hot: int
    updated: int
    wal: int
    images: int  # of whole pages, in the log: of those that are written first after a checkpoint
    claim: int
    settle: int
    submit: int
    rest: int
    cpu: int  # microseconds, the server's and this process's


def look(db: psycopg.Connection[tuple[Any, ...]], server: int) -> Look:
    """Look at it now; `server` is the process that all others of the server are children of."""
    steps: dict[str, int] = dict.fromkeys(STEP_NAMES, 0)
    steps |= dict(db.execute(STEPS).fetchall())
    sizes = db.execute(SIZES).fetchone() or ()
    values = [*sizes, *(steps[name] for name in STEP_NAMES), _cpu(server)]
    return Look(*map(int, values))


def _cpu(server: int) -> int:
    parent = psutil.Process(server)
    ended, own = parent.cpu_times(), psutil.Process().cpu_times()
    used = [ended.children_user, ended.children_system, own.user, own.system]
    for process in [parent, *parent.children()]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += [times.user, times.system]
    return round(sum(used) * 1_000_000)


class Spell(msgspec.Struct, frozen=True):
    """What happened between two looks."""

    before: Look
    after: Look
    done: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tasks that came to their end, a second."""
        return self.done / self.seconds

    def each(self, name: str) -> float:
        """How much of it there was for a task that came to its end."""
        return self.more(name) / max(self.done, 1)

    def more(self, name: str) -> int:
        """How much of it there was."""
        return int(getattr(self.after, name)) - int(getattr(self.before, name))

    @property
    def hot(self) -> float:
        """The share of a task's updates that stayed on its page."""
        return self.more("hot") / max(self.more("updated"), 1)


HEADINGS: Final = (
    f"{'':9}{'buffers a task':27}{'CPU':>6}{'WAL':>7}{'images':>8}{'HOT':>6}  {'open_task, MiB':27}"
    "task, MiB\n"
    "tasks/s  claim settle submit rest     µs       B                heap   due others   dead"
    "      heap  indexes    dead"
)


def line(spell: Spell) -> str:
    """A spell, under HEADINGS."""
    claim, settle, submit, rest = map(spell.each, STEP_NAMES)
    after = spell.after
    sizes = [after.open_task, after.due, after.other_indexes, after.task, after.task_indexes]
    heap, due, others, task, indexes = (size / 2**20 for size in sizes)
    return (
        f"{spell.rate:7.0f}  {claim:5.1f} {settle:6.1f} {submit:6.1f} {rest:4.1f}"
        f"  {spell.each('cpu'):5.0f}"
        f"  {spell.each('wal'):6.0f}  {spell.more('images'):6}  {spell.hot:4.0%}"
        f"  {heap:5.1f} {due:5.1f} {others:6.1f} {after.dead_open:6}"
        f"  {task:8.1f} {indexes:8.1f} {after.dead_task:8}"
    )


def flatness(values: list[float]) -> float:
    """The median of the last third of some values : that of the first third."""
    third = max(1, len(values) // 3)
    return median(values[-third:]) / (median(values[:third]) or 1)


def summary(spells: list[Spell]) -> str:
    """How much changed from the first third of the spells to the last."""
    rate = flatness([spell.rate for spell in spells])
    steps = {name: flatness([spell.each(name) for spell in spells]) for name in STEP_NAMES[:3]}
    cpu = flatness([spell.each("cpu") for spell in spells])
    told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in steps.items())
    return f"last third : first third   rate {rate:.2f}   CPU {cpu:.2f}   buffers: {told}"
