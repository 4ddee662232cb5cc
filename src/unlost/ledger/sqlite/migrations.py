"""How a file comes to this version: what releases added to the first tables (`schema`)."""

from __future__ import annotations

import apsw

from unlost.ledger.sqlite.schema import APPLICATION_ID, VERSION_1

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

# What is counted here is counted by triggers: whoever has the file open since an earlier release
# counts as well.
VERSION_6 = """
CREATE TABLE cancelled (          -- the tasks that were, as an index of `task` would have them:
  seq INTEGER PRIMARY KEY         -- that would cost each task an instruction at each of its steps
) STRICT;
CREATE TRIGGER act_cancels AFTER INSERT ON act WHEN NEW.event IN ('cancel', 'discard') BEGIN
  INSERT OR IGNORE INTO cancelled VALUES (NEW.seq);
END;
INSERT OR IGNORE INTO cancelled
  SELECT seq FROM act CROSS JOIN task USING (seq)
  WHERE event IN ('cancel', 'discard') AND state = 'cancelled';
INSERT OR IGNORE INTO cancelled   -- of those that were imported without their history no act tells
  SELECT seq FROM tally CROSS JOIN task  -- `tally` first: what it says is asked once, not of each
  WHERE (SELECT count(*) FROM cancelled) < tally.cancelled AND state = 'cancelled';

CREATE TABLE group_of_type (      -- `dead_group`, by the tasks' types; of some none may be left
  fingerprint TEXT NOT NULL,
  type TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (fingerprint, type)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER dead_counts AFTER INSERT ON dead BEGIN
  INSERT INTO group_of_type SELECT NEW.fingerprint, type, 1 FROM task WHERE seq = NEW.seq
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER lifted_counts AFTER DELETE ON dead BEGIN
  UPDATE group_of_type SET count = count - 1
  WHERE fingerprint = OLD.fingerprint AND type = (SELECT type FROM task WHERE seq = OLD.seq);
END;
CREATE TRIGGER group_goes AFTER DELETE ON dead_group BEGIN
  DELETE FROM group_of_type WHERE fingerprint = OLD.fingerprint;
END;
INSERT INTO group_of_type
  SELECT fingerprint, type, count(*) FROM dead CROSS JOIN task USING (seq) GROUP BY 1, 2;
"""

# Settlements do not set `purged_at`, so to them the trigger is nothing.
VERSION_7 = """
CREATE TABLE purged (             -- one row: above this position no task is that succeeded and of
  up_to INTEGER NOT NULL          -- whose attempts nothing is kept; before it was told, the last
) STRICT;
INSERT INTO purged SELECT coalesce(max(seq), 0) FROM task;
CREATE TRIGGER purge_tells AFTER UPDATE OF purged_at ON task BEGIN
  UPDATE purged SET up_to = NEW.seq WHERE up_to < NEW.seq;
END;
"""

MIGRATIONS = (
    VERSION_1,
    VERSION_2,
    VERSION_3,
    VERSION_4 + RATES + SCHEDULES + STEPS + FOLLOW_UPS,
    VERSION_5 + DECLARED + PULLING,
    VERSION_6,
    VERSION_7,
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
