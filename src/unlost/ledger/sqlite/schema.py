"""The SQLite ledger's file: its tables, and why they are so.

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
