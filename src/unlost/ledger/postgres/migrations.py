"""How a database comes to this version: what releases added to the first tables (`schema`)."""

from __future__ import annotations

from typing import Final

from unlost.ledger.postgres.growing import GROWING, MILESTONES
from unlost.ledger.postgres.listed import LISTED
from unlost.ledger.postgres.schema import BEGINS_AS_PULLED, PULLED_TOKEN, VERSION_1

VERSION_2 = """
ALTER TABLE unlost.task
  ADD COLUMN key text COLLATE "C",
  ADD COLUMN carried text;       -- JSON that belongs to the task, never looked into
ALTER TABLE unlost.open_task
  ADD COLUMN key text COLLATE "C",
  ADD COLUMN parked bigint;      -- when it was due; its key has no room (see `parking`)
CREATE INDEX open_task_parked ON unlost.open_task (type, key, alone, rank, parked, seq)
  WHERE parked IS NOT NULL;

CREATE TABLE unlost.control (    -- what people set for types
  type text COLLATE "C" PRIMARY KEY,
  paused boolean NOT NULL,
  told boolean NOT NULL,         -- whether it has to hear of each attempt's end
  settings text NOT NULL         -- a `Control`, as JSON
);
"""

# A batch of settlements updates whole pages of tasks in one transaction, which can give nothing of
# them back meanwhile: each page needs room for all its tasks once more, or their new versions go
# elsewhere, with an entry in every index.  Of this table little has to be known to the planner,
# and while it is sampled no vacuum frees what has died since.  A vacuum of open tasks must not pass
# over the indexes where few pages of a long backlog changed, nor lock claims out to cut off the
# table's end.
STORAGE = """
ALTER TABLE unlost.task SET (fillfactor = 50, autovacuum_analyze_scale_factor = 0.2);
ALTER TABLE unlost.open_task SET (vacuum_index_cleanup = on, vacuum_truncate = off);
"""

MEASURED = """
CREATE TABLE unlost.measured (   -- what each process has measured since it began
  process text COLLATE "C" PRIMARY KEY,  -- '' has the sum of those that have ended
  at bigint NOT NULL,
  measures text NOT NULL         -- JSON
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
"""

VERSION_3 = """
ALTER TABLE unlost.act ADD COLUMN api_key text;  -- the name of the key by which it was done

CREATE TABLE unlost.api_key (
  name text COLLATE "C" PRIMARY KEY,
  key text NOT NULL              -- a `Key`, as JSON: its hashes, not itself
);
"""

VERSION_4 = """
ALTER TABLE unlost.act ADD COLUMN call text;  -- which one it was, where it may come twice
ALTER TABLE unlost.worker ADD COLUMN slots integer;  -- how many it runs at once; NULL: not said

ALTER TABLE unlost.task ADD COLUMN excused integer;       -- since submit or redrive; NULL: none
ALTER TABLE unlost.open_task ADD COLUMN excused integer;
ALTER TABLE unlost.attempt ADD COLUMN excused boolean;    -- true: it spent no retry
ALTER TABLE unlost.control ADD COLUMN excuse boolean;     -- the breaker's (see RATES)
"""

SCHEDULES = """
CREATE TABLE unlost.schedule (
  id text COLLATE "C" PRIMARY KEY,
  next bigint,                   -- NULL: it is paused, or has no time to come
  revision bigint NOT NULL,
  schedule text NOT NULL,        -- a `Schedule` without its payload, as JSON
  payload text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX schedule_next ON unlost.schedule (next, id) WHERE next IS NOT NULL;

CREATE TABLE unlost.schedules (  -- how many there are
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  number integer NOT NULL
);

CREATE TABLE unlost.tick (       -- the newest of each schedule
  schedule text COLLATE "C" NOT NULL,
  number integer NOT NULL,
  time bigint NOT NULL,
  task text COLLATE "C",         -- the id of its task, or
  reason text,                   -- why there is none
  PRIMARY KEY (schedule, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
"""

# The rates stand beside the settings, which older code writes without what it does not know.
RATES = """
ALTER TABLE unlost.control
  ADD COLUMN rate double precision,
  ADD COLUMN key_rate double precision;

-- Older code deletes a row in whose settings nothing is left: of one with rates only those go.
CREATE FUNCTION unlost.keep_rates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE unlost.control SET paused = false, told = false,
    settings = json_build_object('type', OLD.type)::text
  WHERE type = OLD.type;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_rates BEFORE DELETE ON unlost.control FOR EACH ROW
  WHEN (OLD.rate IS NOT NULL OR OLD.key_rate IS NOT NULL) EXECUTE FUNCTION unlost.keep_rates();

CREATE TABLE unlost.pace (       -- how far ahead starts are of a rate (see `pacing`)
  type text COLLATE "C",
  key text COLLATE "C",          -- '': the type itself
  rate double precision NOT NULL,
  at bigint NOT NULL,            -- in nanoseconds
  waits boolean NOT NULL,        -- whether tasks are parked that start when it lets them
  look_at bigint NOT NULL,       -- when it does; where none waits, when it need not be kept
  PRIMARY KEY (type, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);
CREATE INDEX pace_waits ON unlost.pace (type, look_at) WHERE waits;
CREATE INDEX pace_idle ON unlost.pace (type, look_at) WHERE NOT waits;
"""

REDRIVES = """
ALTER TABLE unlost.act ADD COLUMN redrive text;  -- the id of the redrive that did it

CREATE TABLE unlost.redrive (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL,
  started_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  open smallint,                 -- 1 while a step may change it
  state text COLLATE "C" NOT NULL,
  record text NOT NULL,          -- a `Redrive`, as JSON
  named text NOT NULL            -- its `Named`, as JSON
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE UNIQUE INDEX redrive_id ON unlost.redrive (id);
CREATE INDEX redrive_by_time ON unlost.redrive (started_at, id);
CREATE INDEX redrive_by_state ON unlost.redrive (state, started_at, id);
CREATE INDEX redrive_open ON unlost.redrive (open, started_at, id) WHERE open IS NOT NULL;

CREATE TABLE unlost.redriven (   -- letters of redrives that have not ended, as far as is known
  redrive bigint NOT NULL,       -- its number
  seq bigint NOT NULL,
  redrive_count integer NOT NULL,  -- the task's, as the redrive left it
  PRIMARY KEY (redrive, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
"""

STEPS = """
ALTER TABLE unlost.task
  ADD COLUMN effects text;       -- an `Effects`, as JSON; NULL: none

CREATE TABLE unlost.step (       -- what attempts recorded of effects that happen once
  seq bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  attempt integer NOT NULL,
  at bigint NOT NULL,
  forgotten_at bigint,           -- by a redrive, and not made again since
  size integer,                  -- bytes of the result; NULL: it is not kept
  result text,
  PRIMARY KEY (seq, name)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

-- Older code purges what it knows of a task: its payload, and no steps.  On the table of tasks
-- itself a trigger would cost every settlement.
CREATE FUNCTION unlost.purge_steps() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$  -- its role may have no right to steps yet
BEGIN
  DELETE FROM unlost.step WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM unlost.step WHERE step.seq BETWEEN OLD.seq AND OLD.seq
    ORDER BY step.seq, step.name));
  RETURN NULL;
END $$;
CREATE TRIGGER purge_steps AFTER DELETE ON unlost.payload FOR EACH ROW
  EXECUTE FUNCTION unlost.purge_steps();

CREATE TABLE unlost.effect_secret (  -- what the effect keys of this ledger's tasks come from
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  secret bytea NOT NULL
);
INSERT INTO unlost.effect_secret (secret) VALUES (
  uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
"""

FOLLOW_UPS = """
CREATE TABLE unlost.follow_up (  -- tasks that other tasks' handlers submitted (`carried` says so)
  parent text COLLATE "C" NOT NULL,  -- the id of the task from which it followed
  submitted_at bigint NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (parent, submitted_at, seq)
);
"""

VERSION_5 = """
ALTER TABLE unlost.worker ADD COLUMN pull boolean;  -- true: it claims by the API

-- Of what is set for types: like the rates, beside what older code writes.
ALTER TABLE unlost.control ADD COLUMN pull boolean;
DROP TRIGGER keep_rates ON unlost.control;
CREATE TRIGGER keep_rates BEFORE DELETE ON unlost.control FOR EACH ROW
  WHEN (OLD.rate IS NOT NULL OR OLD.key_rate IS NOT NULL OR OLD.pull)
  EXECUTE FUNCTION unlost.keep_rates();
"""

DECLARED = """
CREATE TABLE unlost.effect (     -- effects of which handlers said that they have happened
  seq bigint NOT NULL,
  at bigint NOT NULL,
  attempt integer NOT NULL,      -- its number
  turn integer NOT NULL,         -- counts what the attempt said
  name text NOT NULL,
  PRIMARY KEY (seq, attempt, turn)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

CREATE TABLE unlost.brought (    -- how many new tasks followed from a task's success, if any
  seq bigint PRIMARY KEY,
  number integer NOT NULL
);

-- Older code purges what it knows of a task.
CREATE OR REPLACE FUNCTION unlost.purge_steps() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$  -- its role may have no right to them yet
BEGIN
  DELETE FROM unlost.step WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM unlost.step WHERE step.seq BETWEEN OLD.seq AND OLD.seq
    ORDER BY step.seq, step.name));
  DELETE FROM unlost.effect WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM unlost.effect WHERE effect.seq BETWEEN OLD.seq AND OLD.seq
    ORDER BY effect.seq, effect.attempt, effect.turn));
  RETURN NULL;
END $$;
"""

PULLING = f"""
ALTER TABLE unlost.worker
  ADD COLUMN owner text COLLATE "C";  -- with `pull`: the key by which; '': none is needed
CREATE INDEX worker_pull ON unlost.worker (id) WHERE pull;
CREATE INDEX open_task_pulled ON unlost.open_task (token) WHERE {PULLED_TOKEN};
CREATE INDEX open_task_overtime ON unlost.open_task (deadline) WHERE {BEGINS_AS_PULLED};
"""

# Each statement that writes has a table's checks made ready anew.  States are words of the
# statements' own, or of `State`: of what checks held, what a task could be lost by is kept, whether
# it runs and who has it.  The two indexes end in a task's number, so no two entries are the same.
LEANER = """
ALTER TABLE unlost.task DROP CONSTRAINT IF EXISTS task_state_check;
ALTER TABLE unlost.open_task DROP CONSTRAINT IF EXISTS open_task_state_check;
ALTER INDEX unlost.task_by_submission SET (deduplicate_items = off);
ALTER INDEX unlost.open_task_due SET (deduplicate_items = off);
"""

MIGRATIONS: Final = (
    VERSION_1,
    VERSION_2 + STORAGE + MEASURED,
    VERSION_3,
    VERSION_4 + SCHEDULES + RATES + REDRIVES + STEPS + FOLLOW_UPS,
    VERSION_5 + DECLARED + PULLING,
    LISTED,
    GROWING,
    MILESTONES + LEANER,
)
"""Migration n brings a database from version n to n + 1, under the eyes of older code."""

COMPATIBLE: Final = 1
"""The oldest version of the code that may use the tables as the last migration leaves them.

An older worker that runs on starts more than a rate allows, which no record shows as wrong: it
loses nothing and keeps what is set.  Rates hold once the last of them is gone; who upgrades one
process after the other is not to be stopped for it.

Schedules are safe beside it: it knows none of them and runs their tasks as any others.  An older
API lets clients take ids of ticks, which a newer one refuses: such a tick passes the id by and
takes the next (`!2`; see `tick_id`), so it is still made once.

Steps are safe beside it: an older worker runs no handler that has any, an older redrive forgets
none, and where an older purge takes a payload the steps go with it.

So are follow-ups: it brings none, and runs them as any others.  What an older import brings is
missing in the lists by parent, and nowhere else.

Types that are marked `pull` are its own to take as long as it runs, as before: it keeps the mark,
and which worker ran an attempt no record shows as wrong.

So are effects that handlers declare: it records none, and where an older purge takes a payload they
go with it.  It does not say how many tasks followed from a success: the audit asks for none then.

So are the lists of what was cancelled and what is dead, and the counts by type: triggers keep them.
Of what an older import brings, a cancelled task without its history is missing in that list, and
one that succeeded and was purged in the list of those while tasks wait above it.  There one that
succeeded may be missing too where it was submitted before a milestone that is there already.

So are excused failures: an older worker counts none of its own as excused, and leaves the count of
others alone while their task is open.  Where it closes a task the count is forgotten, and the
attempts say it still."""
