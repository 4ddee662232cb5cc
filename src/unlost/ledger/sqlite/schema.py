"""The SQLite ledger's file: its tables, why they are so, and how it is brought to this version.

Shape.  `task` is the small record that transitions rewrite; payload, result and past attempts
live apart, so that a change of state never rewrites big data.  Columns that are NULL when they
do not apply (`ready`, `waiting`, `parked`, `worker`, `open`) each carry a partial index, so that
only the tasks in question cost it anything:

* `ready` 1 (2: to run alone): due, and what a claim looks at, by type, priority and due time.
  A million tasks of other types, or not yet due, cost a claim nothing.
* `waiting` 1 (2: to run alone): not yet due, by due time.  A claim first moves what has become
  due from `waiting` to `ready`.
* `parked` 1 (2: to run alone): due, and its key has no room or has to wait for its rate
  (`parking.py`).
* `worker`: who runs it.  `open`: not terminal, for lists.

`pulled` has the attempts that run and were claimed by the API, so that a claim that comes again is
known and overtime is found.  They are no index of `task`: that would cost each task an instruction
at each of its steps.

Past attempts have the key `seq · 2^20 + number`, so that a task's attempts lie together and no
second index is needed.

`redrive_run` is of earlier releases, which may still run beside this one; nothing here reads it.
"""

from __future__ import annotations

import apsw

APPLICATION_ID = 0x756E6C6F  # "unlo"

ATTEMPT_BITS = 20


VERSION_1 = """
CREATE TABLE task (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  type TEXT NOT NULL,
  state TEXT NOT NULL,
  priority INTEGER NOT NULL,
  digest BLOB NOT NULL,
  submitted_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  own_retries INTEGER,           -- as submitted
  own_timeout REAL,
  max_retries INTEGER,           -- as the last claim found
  timeout REAL,
  number INTEGER NOT NULL DEFAULT 0,         -- of the last attempt
  spent INTEGER NOT NULL DEFAULT 0,          -- attempts since submit or redrive, without released
  attempt_count INTEGER NOT NULL DEFAULT 0,  -- attempts in all, without released
  redrive_count INTEGER NOT NULL DEFAULT 0,
  error_number INTEGER,          -- the last attempt that had an error
  edit INTEGER,                  -- the act that brought the payload in force
  ready INTEGER,
  waiting INTEGER,
  open INTEGER DEFAULT 1,
  worker TEXT,
  token TEXT,
  started_at INTEGER,
  deadline INTEGER,
  alone INTEGER NOT NULL DEFAULT 0,
  purged_at INTEGER
) STRICT;
CREATE INDEX task_ready ON task (ready, type, priority DESC, due_at) WHERE ready IS NOT NULL;
CREATE INDEX task_waiting ON task (waiting, due_at) WHERE waiting IS NOT NULL;
CREATE INDEX task_running ON task (worker) WHERE worker IS NOT NULL;
CREATE INDEX task_open ON task (open) WHERE open IS NOT NULL;

CREATE TABLE payload (seq INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE result (seq INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;

CREATE TABLE attempt (
  key INTEGER PRIMARY KEY,
  started_at INTEGER NOT NULL,
  finished_at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  next_attempt_at INTEGER,
  error_type TEXT,
  message TEXT,
  traceback TEXT,
  fingerprint TEXT
) STRICT;

CREATE TABLE act (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  by TEXT,
  reason TEXT,
  payload TEXT
) STRICT;
CREATE INDEX act_of_task ON act (seq);

CREATE TABLE dead (
  seq INTEGER PRIMARY KEY,
  died_at INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  error_type TEXT NOT NULL
) STRICT;
CREATE INDEX dead_by_time ON dead (died_at);
CREATE INDEX dead_by_fingerprint ON dead (fingerprint, died_at);
CREATE INDEX dead_by_error_type ON dead (error_type, died_at);

CREATE TABLE dead_group (
  fingerprint TEXT PRIMARY KEY,
  error_type TEXT NOT NULL,
  sample TEXT NOT NULL,
  count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE report (             -- deaths that the monitor has still to report
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  seq INTEGER NOT NULL,
  died_at INTEGER NOT NULL,
  number INTEGER NOT NULL,
  attempt_count INTEGER NOT NULL,
  edit INTEGER,
  leased_until INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX report_of_task ON report (seq);

CREATE TABLE redrive_run (        -- bulk redrives that have more to do (see values.Selection)
  selectors TEXT PRIMARY KEY,
  began INTEGER NOT NULL,
  next_slot INTEGER NOT NULL,
  last_call INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
  id TEXT PRIMARY KEY,
  lease_until INTEGER NOT NULL,
  types TEXT,                     -- JSON array; NULL: every type
  alone INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tally (              -- one row: what was counted as it happened
  accepted INTEGER NOT NULL DEFAULT 0,
  settled INTEGER NOT NULL DEFAULT 0,
  queued INTEGER NOT NULL DEFAULT 0,
  running INTEGER NOT NULL DEFAULT 0,
  retrying INTEGER NOT NULL DEFAULT 0,
  succeeded INTEGER NOT NULL DEFAULT 0,
  dead INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0,
  pinged INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO tally DEFAULT VALUES;
"""

VERSION_2 = """
ALTER TABLE task ADD COLUMN key TEXT;
ALTER TABLE task ADD COLUMN carried TEXT;    -- JSON that belongs to the task, never looked into
ALTER TABLE task ADD COLUMN parked INTEGER;
CREATE INDEX task_parked ON task (parked, type, key, priority DESC, due_at)
  WHERE parked IS NOT NULL;

CREATE TABLE control (            -- what people set for types
  type TEXT PRIMARY KEY,
  settings TEXT NOT NULL          -- a `Control`, as JSON
) STRICT, WITHOUT ROWID;

CREATE TABLE measured (           -- what each process has measured since it began
  process TEXT PRIMARY KEY,       -- '' has the sum of those that have ended
  at INTEGER NOT NULL,
  measures TEXT NOT NULL          -- JSON
) STRICT, WITHOUT ROWID;
"""

VERSION_3 = """
ALTER TABLE act ADD COLUMN api_key TEXT;     -- the name of the key by which it was done

CREATE TABLE api_key (
  name TEXT PRIMARY KEY,
  key TEXT NOT NULL               -- a `Key`, as JSON: its hashes, not itself
) STRICT, WITHOUT ROWID;
"""

VERSION_4 = """
ALTER TABLE act ADD COLUMN call TEXT;        -- which one it was, where it may come twice
ALTER TABLE act ADD COLUMN redrive TEXT;     -- the id of the redrive that did it

CREATE TABLE redrive (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  started_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  open INTEGER,                   -- 1 while a step may change it
  record TEXT NOT NULL,           -- a `Redrive`, as JSON
  named TEXT NOT NULL             -- its `Named`, as JSON
) STRICT;
CREATE INDEX redrive_by_time ON redrive (started_at, id);
CREATE INDEX redrive_by_state ON redrive (state, started_at, id);
CREATE INDEX redrive_open ON redrive (open, started_at, id) WHERE open IS NOT NULL;
CREATE INDEX redrive_ended ON redrive (updated_at) WHERE open IS NULL;

CREATE TABLE redriven (           -- letters of redrives that have not ended, as far as is known
  redrive INTEGER NOT NULL,       -- its number
  seq INTEGER NOT NULL,
  redrive_count INTEGER NOT NULL, -- the task's, as the redrive left it
  PRIMARY KEY (redrive, seq)
) STRICT, WITHOUT ROWID;

ALTER TABLE worker ADD COLUMN slots INTEGER; -- attempts that it runs at once; NULL: not said

ALTER TABLE task ADD COLUMN excused INTEGER;    -- since submit or redrive; NULL: none
ALTER TABLE attempt ADD COLUMN excused INTEGER; -- 1: it spent no retry
"""

RATES = """
CREATE TABLE pace (               -- how far ahead starts are of a rate (`pacing.py`)
  type TEXT NOT NULL,
  key TEXT NOT NULL,              -- '': the type itself
  rate REAL NOT NULL,
  at INTEGER NOT NULL,            -- in nanoseconds
  waits INTEGER NOT NULL,         -- whether tasks are parked that start when it lets them
  look_at INTEGER NOT NULL,       -- when it does; where none waits, when it need not be kept
  PRIMARY KEY (type, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX pace_due ON pace (type, waits, look_at);
"""

SCHEDULES = """
CREATE TABLE schedule (
  id TEXT PRIMARY KEY,
  revision INTEGER NOT NULL,
  next INTEGER,                   -- NULL: it is paused, or has no time to come
  schedule TEXT NOT NULL,         -- a `Schedule` without its payload, as JSON
  payload TEXT NOT NULL
) STRICT;
CREATE INDEX schedule_next ON schedule (next, id) WHERE next IS NOT NULL;

CREATE TABLE tick (               -- the newest of each schedule
  schedule TEXT NOT NULL,
  number INTEGER NOT NULL,
  time INTEGER NOT NULL,
  task TEXT,                      -- the id of its task, or
  reason TEXT,                    -- why there is none
  PRIMARY KEY (schedule, number)
) STRICT, WITHOUT ROWID;
"""

STEPS = """
ALTER TABLE task ADD COLUMN effects TEXT;    -- an `Effects`, as JSON; NULL: none

CREATE TABLE step (               -- what attempts recorded of effects that happen once
  seq INTEGER NOT NULL,
  name TEXT NOT NULL,
  attempt INTEGER NOT NULL,       -- its number
  at INTEGER NOT NULL,
  forgotten_at INTEGER,           -- by a redrive, and not made again since
  size INTEGER,                   -- bytes of the result; NULL: it is not kept
  result TEXT
) STRICT;
CREATE UNIQUE INDEX step_of_task ON step (seq, name);

CREATE TABLE effect_secret (secret BLOB NOT NULL) STRICT;
INSERT INTO effect_secret VALUES (randomblob(32));
"""

FOLLOW_UPS = """
CREATE TABLE follow_up (          -- tasks that other tasks' handlers submitted (`carried` says so)
  parent TEXT NOT NULL,           -- the id of the task from which it followed
  seq INTEGER NOT NULL,
  PRIMARY KEY (parent, seq)
) STRICT, WITHOUT ROWID;
"""

VERSION_5 = """
ALTER TABLE worker ADD COLUMN pull INTEGER;  -- 1: it claims by the API
"""

DECLARED = """
CREATE TABLE effect (             -- effects of which handlers said that they have happened
  seq INTEGER NOT NULL,
  attempt INTEGER NOT NULL,       -- its number
  turn INTEGER NOT NULL,          -- counts what the attempt said
  name TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (seq, attempt, turn)
) STRICT, WITHOUT ROWID;

CREATE TABLE brought (            -- how many new tasks followed from a task's success, if any
  seq INTEGER PRIMARY KEY,
  number INTEGER NOT NULL
) STRICT;
"""

PULLING = """
ALTER TABLE worker ADD COLUMN owner TEXT;    -- with `pull`: the key by which; '': none is needed

CREATE TABLE pulled (             -- attempts that run and were claimed by the API
  token TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  deadline INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pulled_overtime ON pulled (deadline);
"""

MIGRATIONS = (
    VERSION_1,
    VERSION_2,
    VERSION_3,
    VERSION_4 + RATES + SCHEDULES + STEPS + FOLLOW_UPS,
    VERSION_5 + DECLARED + PULLING,
)
"""Migration n brings a file from version n to n + 1."""


def migrate(db: apsw.Connection) -> None:
    """Bring the file to this version, each step in one transaction.  Safe to race."""
    with _immediate(db):
        version = db.pragma("user_version")
        if version == len(MIGRATIONS):
            return
        for script in MIGRATIONS[version:]:
            db.execute(script)
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={len(MIGRATIONS)}")


class _immediate:  # noqa: N801 - reads as a statement
    """A write transaction."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, fault: object, *_: object) -> None:
        self._db.execute("ROLLBACK" if fault else "COMMIT")
