"""Claiming due tasks, and when there will be some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from unlost.ledger.postgres.attempts.marks import (
    MOST,
    PAIRS,
    TOOK,
    Learnt,
    Marks,
    Pair,
    Seen,
)
from unlost.ledger.postgres.connection.arrays import Texts
from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import (
    NOW,
    NOW_ONCE,
    Row,
    Transaction,
    packed,
)
from unlost.ledger.postgres.controls import controlling, limiting, pacing
from unlost.ledger.postgres.controls.limiting import Limited
from unlost.ledger.postgres.schema import SLOT
from unlost.ledger.postgres.steps.recording import read_effects
from unlost.ledger.protocol import LeaseOver
from unlost.ledger.values import BESIDE, Claim, Claimed
from unlost.limits.control import Claimant
from unlost.task import Micros, State

# What waits, as pairs of type and rank: one probe of the index each, however many tasks wait.
EVERY_PAIR = """pair (type, rank) AS (
  (SELECT type, rank FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
   ORDER BY type, rank LIMIT 1)
  UNION ALL
  SELECT following.* FROM pair CROSS JOIN LATERAL (
    SELECT type, rank FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
      AND (open_task.type, open_task.rank) > (pair.type, pair.rank)
    ORDER BY type, rank LIMIT 1) AS following
)"""

UNCONTROLLED = """
NOT EXISTS (SELECT FROM unlost.control WHERE control.type = pair.type OFFSET 0)
AND pair.type <> ALL (ARRAY(SELECT json_array_elements_text(%(left)s::json)))
"""

HANDLER = "(SELECT %(limits)s::jsonb) -> task.type"
"""What the handler of a task's type says, parsed once."""

ALIVE = f"SELECT 1 FROM unlost.worker WHERE id = %(worker)s AND lease_until > {NOW}"

# A task's token is the one at its turn in the array: a join of two batches can become one that
# reads the whole of one for each of the other.  What the UPDATE is joined with has few columns: the
# server copies all of them for each row, in case that another has changed it meanwhile.
# First is seen what is due first in each pair, then how many each should give, then as many are
# locked in each, passing over what others have locked: so claims that race get different tasks, and
# all get their fill.  `scan` is read before anything is locked, so it tells what looking took.
CLAIM = f"""
WITH RECURSIVE {PAIRS}, scanned AS MATERIALIZED (
  SELECT type, rank, marked, (
    SELECT due_at FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
      AND open_task.type = pair.type AND open_task.rank = pair.rank
      AND due_at >= pair.since AND due_at <= {NOW}
    ORDER BY due_at, seq LIMIT 1) AS first
  FROM pair WHERE {UNCONTROLLED}
), share AS MATERIALIZED (
  SELECT type, rank, first, count(*) AS number FROM (
    SELECT scanned.* FROM scanned CROSS JOIN LATERAL (
      SELECT due_at, seq FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
        AND open_task.type = scanned.type AND open_task.rank = scanned.rank
        AND due_at >= scanned.first AND due_at <= {NOW}
      ORDER BY due_at, seq LIMIT %(most)s) AS candidate
    ORDER BY scanned.rank, candidate.due_at, candidate.seq LIMIT %(most)s) AS best
  GROUP BY type, rank, first
), scan AS MATERIALIZED (
  SELECT coalesce(sum(number), 0)::bigint AS in_view, {TOOK} AS took FROM share
), locked AS MATERIALIZED (
  SELECT mine.* FROM share CROSS JOIN LATERAL (
    SELECT ctid AS place, seq, state, rank, due_at FROM unlost.open_task
    WHERE token IS NULL AND alone = %(alone)s AND open_task.type = share.type
      AND open_task.rank = share.rank AND due_at >= share.first AND due_at <= {NOW}
    ORDER BY due_at, seq LIMIT share.number FOR UPDATE SKIP LOCKED) AS mine
  WHERE (SELECT in_view FROM scan) > 0 AND EXISTS ({ALIVE})
), {{admitted}}picked AS (
  SELECT place, seq, state, turn, (%(tokens)s::text[])[turn] AS token FROM (
    SELECT place, seq, state, row_number() OVER (ORDER BY rank, due_at, seq) AS turn
    FROM {{found}}) AS sorted
  WHERE turn <= %(most)s
), started AS (
  UPDATE unlost.open_task AS it
  SET state = 'running', worker = %(worker)s, token = picked.token, number = it.number + 1,
      spent = it.spent + 1, attempt_count = it.attempt_count + 1, started_at = {NOW_ONCE},
      updated_at = {NOW_ONCE}, max_retries = task.retries, timeout = task.timeout,
      deadline = {NOW_ONCE} + round(task.timeout * 1000000)::bigint
  FROM picked CROSS JOIN LATERAL (
    SELECT id, redrive_count, submitted_at, edit, carried, effects,
           coalesce(own_retries, ({HANDLER} ->> 0)::integer, %(retries)s) AS retries,
           coalesce(own_timeout, ({HANDLER} ->> 1)::double precision, %(timeout)s) AS timeout
    FROM unlost.task WHERE task.seq BETWEEN picked.seq AND picked.seq
    ORDER BY task.seq LIMIT 1) AS task
  WHERE it.ctid = picked.place
  RETURNING picked.state AS was, it.seq, task.id, it.token, it.type, it.number,
            it.spent, it.max_retries, it.timeout, it.deadline, task.redrive_count,
            task.submitted_at, it.started_at, it.due_at, task.edit, task.carried, it.key,
            task.effects, it.excused, it.rank
), counted AS (
  UPDATE unlost.tally
  SET queued = queued - new, retrying = retrying - again, running = running + new + again
  FROM (SELECT count(*) FILTER (WHERE was = 'queued') AS new,
               count(*) FILTER (WHERE was = 'retrying') AS again FROM started) AS counting
  WHERE slot = {SLOT} AND new + again > 0
)
(SELECT id, token, type, coalesce(
          CASE WHEN edit IS NOT NULL THEN (
            SELECT payload FROM unlost.act WHERE act.seq = started.seq AND act.id = started.edit)
          END,
          (SELECT text FROM unlost.payload WHERE payload.seq = started.seq)),
        number, spent, max_retries, timeout, deadline, redrive_count, submitted_at, started_at,
        due_at, carried, effects, coalesce(excused, 0), key, rank
 FROM started)
UNION ALL
(SELECT NULL, NULL, scanned.type, NULL, coalesce(share.number, 0), scan.in_view, NULL, scan.took,
        CASE WHEN in_view < %(most)s THEN (
          SELECT due_at FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
            AND open_task.type = scanned.type AND open_task.rank = scanned.rank AND due_at > {NOW}
          ORDER BY due_at, seq LIMIT 1)
        END, NULL, NULL, NULL, scanned.first, NULL, NULL, NULL, NULL, scanned.rank
 FROM scan CROSS JOIN scanned
   LEFT JOIN share ON share.type = scanned.type AND share.rank = scanned.rank
 ORDER BY marked DESC LIMIT {2 * MOST})
"""

# Of a row of an attempt, and of one of a pair: how many it should give, how many all should, the
# seconds that looking took, when one will be due next, and when its first one was due.
TYPE, DUE_AT, KEY, RANK = 2, 12, 16, 17
NUMBER, IN_VIEW, TOOK_SECONDS, NEXT, FIRST = 4, 5, 7, 8, 12
CLAIM_DUE = CLAIM.format(admitted="", found="locked")

# Beside those of types for which nothing is set, some of other types for which there is room.
ADMITTED = f"""admitted AS MATERIALIZED (
  SELECT mine.* FROM json_array_elements_text(%(seqs)s::json) AS one (seq) CROSS JOIN LATERAL (
    SELECT ctid AS place, seq, state, rank, due_at FROM unlost.open_task
    WHERE open_task.seq = one.seq::bigint AND state <> 'running' AND due_at <= {NOW}
    FOR UPDATE SKIP LOCKED) AS mine
  WHERE EXISTS ({ALIVE})
), both_kinds AS (SELECT * FROM locked UNION ALL SELECT * FROM admitted), """

# Those, in their order, for whose payloads there is room; of these only the lengths are read.
FITTING = f"""fitting AS MATERIALIZED (
  SELECT place, seq, state, rank, due_at FROM (
    SELECT sized.*, row_number() OVER turns AS turn, sum(size + {BESIDE}) OVER turns AS taken
    FROM (
      SELECT mine.*, coalesce(
        (SELECT octet_length(payload) FROM unlost.act
         WHERE act.seq = mine.seq AND act.id = task.edit),
        (SELECT octet_length(text) FROM unlost.payload WHERE payload.seq = mine.seq)) AS size
      FROM {{found}} AS mine CROSS JOIN LATERAL {row("task", "mine.seq")} AS task) AS sized
    WINDOW turns AS (ORDER BY rank, due_at, seq ROWS UNBOUNDED PRECEDING)) AS summed
  WHERE turn = 1 OR taken <= %(room)s
), """

CLAIM_DUE_AND = CLAIM.format(admitted=ADMITTED, found="both_kinds")

CLAIM_FITTING = CLAIM.format(admitted=FITTING.format(found="locked"), found="fitting")
CLAIM_FITTING_AND = CLAIM.format(
    admitted=ADMITTED + FITTING.format(found="both_kinds"), found="fitting"
)


async def claim(
    transaction: Transaction,
    wanted: Claim,
    limited: Limited | None = None,
    *,
    marks: Marks,
    more: bool = False,
    emptied: Callable[[Micros | None], None] = lambda _: None,
) -> list[Claimed]:
    """Start up to len(tokens) attempts of the tasks that are due, looked for from these marks.

    Without `limited` none of the types for which something is set.  It is the transaction's last
    step, unless there is `more` to come.  `emptied` hears, where that is known to leave nothing
    that is due, how long it is until something will be, if anything waits.
    """
    if wanted.defaults.max_retries is None or wanted.defaults.timeout is None:
        raise ValueError("the claim's defaults leave a limit open")
    asked = await transaction.ask(ALIVE, {"worker": wanted.worker})
    named = await controlling.named(transaction, wanted.claimant)
    look = marks.look(wanted.types, alone=wanted.alone)
    transaction.at_end.append(partial(marks.end, look))
    values = _values(wanted) | {"left": packed(named), "known": look.known}
    if limited is None:
        sql = CLAIM_DUE if wanted.room is None else CLAIM_FITTING
        rows = await (transaction.rows if more else transaction.last)(sql, values)
    else:
        rows = await _claim_limited(transaction, wanted, values, limited, named, more=more)
    if not await transaction.read(asked):
        raise LeaseOver(wanted.worker)
    found = _started(rows)
    most, pairs = len(wanted.tokens), rows[len(found) :]
    look.learnt = _learnt(transaction.now, most, found, pairs)
    if limited is None and not transaction.controlled and _emptied(most, len(found), pairs):
        nexts = [one[NEXT] for one in pairs if one[NEXT] is not None]
        emptied(min(nexts) - transaction.now if nexts else None)
    turns = {token: turn for turn, token in enumerate(wanted.tokens)}
    claimed = sorted(map(_claimed, found), key=lambda one: turns[one.token])
    transaction.tell_all((one.task_id, one.type, State.RUNNING, one.number) for one in claimed)
    return claimed


def _started(rows: Sequence[Row]) -> Sequence[Row]:
    """Those of attempts, which come before those of pairs that were looked at."""
    return [row for row in rows if row[0] is not None]


def _learnt(now: Micros, most: int, started: Sequence[Row], pairs: Sequence[Row]) -> Learnt:
    """What a claim of so many has seen of the pairs: until when all was taken of what was due.

    Where the claim has its fill in view, some may be left of each pair.  What a pair did not give
    though it should, others had locked, or there was no room for it: it may be there still.
    """
    taken = Counter((one[TYPE], one[RANK]) for one in started)
    last: dict[Pair, Micros] = {}
    for one in started:
        pair = one[TYPE], one[RANK]
        last[pair] = max(one[DUE_AT], last.get(pair, one[DUE_AT]))
    found: dict[Pair, Seen] = {}
    for one in pairs:
        pair, first = (one[TYPE], one[RANK]), one[FIRST]
        until = now
        if taken[pair] < one[NUMBER]:
            until = first
        elif first is not None and one[IN_VIEW] >= most:
            until = last.setdefault(pair, first)
        found[pair] = Seen(until, waited=first is not None)
    return Learnt(now, max((one[TOOK_SECONDS] for one in pairs), default=0.0), found)


def _emptied(most: int, started: int, pairs: Sequence[Row]) -> bool:
    """Whether a claim of so many has started all that was due, and looked at every pair."""
    due = sum(one[NUMBER] for one in pairs)
    return started == due < most and len(pairs) < 2 * MOST


def _claimed(row: Row) -> Claimed:
    *known, effects, excused, key, _ = row
    return Claimed(*[*known, read_effects(effects), excused, key])


async def _claim_limited(
    transaction: Transaction,
    wanted: Claim,
    values: Mapping[str, Any],
    limited: Limited,
    named: Collection[str],
    *,
    more: bool,
) -> list[Row]:
    """Where a rate is set, what has started is known before the commit: paces move with it."""
    sql = CLAIM_DUE_AND if wanted.room is None else CLAIM_FITTING_AND
    admitted = await limited.admit(transaction, wanted, named)
    values = {**values, "seqs": packed(list(admitted.seqs))}
    if not (more or admitted.room.paced_types):
        return await transaction.last(sql, values)
    found = await transaction.rows(sql, values)
    started = [(row[TYPE], row[KEY]) for row in _started(found)]
    await pacing.keep(transaction, admitted.room.paced(started, admitted.parked))
    return found


def _values(wanted: Claim) -> dict[str, Any]:
    types = wanted.types or {}
    limits = {name: (known.max_retries, known.timeout) for name, known in types.items()}
    values: dict[str, Any] = {
        "worker": wanted.worker,
        "alone": wanted.alone,
        "most": len(wanted.tokens),
        "tokens": Texts(wanted.tokens),
        "limits": packed(limits),
        "retries": wanted.defaults.max_retries,
        "timeout": wanted.defaults.timeout,
    }
    if wanted.room is not None:
        values["room"] = wanted.room
    return values


DUE = f"""
WITH RECURSIVE {PAIRS}
SELECT min(first.due_at) FROM pair CROSS JOIN LATERAL (
  SELECT due_at FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
    AND open_task.type = pair.type AND open_task.rank = pair.rank AND due_at >= pair.since
  ORDER BY due_at LIMIT 1) AS first
WHERE {UNCONTROLLED}
"""


async def due_in(
    transaction: Transaction,
    types: Collection[str] | None,
    *,
    alone: bool,
    limited: bool,
    marks: Marks,
    claimant: Claimant = Claimant.LOCAL,
) -> Micros | None:
    """How long until a claim could find a task; only with `limited`, one of types for which
    something is set."""
    dues: list[Micros] = []
    named = await controlling.named(transaction, claimant)
    if limited:
        dues = await limiting.dues(transaction, types, named, alone=alone, claimant=claimant)
    known = marks.glance(types, alone=alone)
    values = {"alone": alone, "left": packed(named), "known": known}
    ((due,),) = await transaction.last(DUE, values)
    if due is not None:
        dues.append(int(due))
    return max(0, min(dues) - transaction.now) if dues else None
