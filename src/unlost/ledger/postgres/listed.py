"""What lists and groups of dead letters need beside the tasks, since version 6 of the tables.

It is kept by triggers: older code beside it knows nothing of it, and its role may have no right to
it yet.  An index of `task` itself would have to name the state, and then no settlement would stay
on its page.
"""

from __future__ import annotations

from typing import Final

from unlost.ledger.postgres.connection.lookup import row

# Acts are locked first, as by who discards.
LISTED: Final = f"""
CREATE TABLE unlost.cancelled (  -- the tasks that were
  submitted_at bigint NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (submitted_at, seq)
);
CREATE FUNCTION unlost.list_cancelled() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO unlost.cancelled SELECT submitted_at, seq FROM unlost.task
  WHERE task.seq BETWEEN NEW.seq AND NEW.seq ORDER BY task.seq LIMIT 1 ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER list_cancelled AFTER INSERT ON unlost.act FOR EACH ROW
  WHEN (NEW.event IN ('cancel', 'discard')) EXECUTE FUNCTION unlost.list_cancelled();
INSERT INTO unlost.cancelled SELECT DISTINCT task.submitted_at, task.seq FROM unlost.act
  CROSS JOIN LATERAL {row("task", "act.seq")} AS task
  WHERE act.event IN ('cancel', 'discard') AND task.state = 'cancelled';
INSERT INTO unlost.cancelled     -- of those that were imported without their history no act tells
  SELECT submitted_at, seq FROM unlost.task WHERE state = 'cancelled'
    AND (SELECT count(*) FROM unlost.cancelled) < (SELECT sum(cancelled) FROM unlost.tally)
  ON CONFLICT DO NOTHING;

ALTER TABLE unlost.dead
  ADD COLUMN submitted_at bigint,  -- the task's
  ADD COLUMN type text COLLATE "C";
CREATE TABLE unlost.group_of_type (  -- `dead_group`, by the tasks' types
  fingerprint text COLLATE "C",
  type text COLLATE "C",
  process integer,               -- the server's that counted: none waits for another
  count bigint NOT NULL,
  PRIMARY KEY (fingerprint, type, process)
) WITH (fillfactor = 50);
UPDATE unlost.dead SET (submitted_at, type) = (
  SELECT task.submitted_at, task.type FROM {row("task", "dead.seq")} AS task);
CREATE INDEX dead_by_submission ON unlost.dead (submitted_at, seq);
CREATE INDEX dead_by_type ON unlost.dead (type, fingerprint, died_at, seq);
INSERT INTO unlost.group_of_type
  SELECT fingerprint, type, 0, count(*) FROM unlost.dead WHERE type IS NOT NULL
  GROUP BY fingerprint, type;

CREATE FUNCTION unlost.know_dead() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  SELECT task.submitted_at, task.type INTO NEW.submitted_at, NEW.type FROM unlost.task
  WHERE task.seq BETWEEN NEW.seq AND NEW.seq ORDER BY task.seq LIMIT 1;
  RETURN NEW;
END $$;
CREATE TRIGGER know_dead BEFORE INSERT ON unlost.dead FOR EACH ROW
  EXECUTE FUNCTION unlost.know_dead();

CREATE FUNCTION unlost.count_dead() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO unlost.group_of_type AS known
  SELECT fingerprint, type, pg_backend_pid(), TG_ARGV[0]::integer * count(*) FROM changed
  GROUP BY fingerprint, type
  ON CONFLICT (fingerprint, type, process) DO UPDATE SET count = known.count + excluded.count;
  RETURN NULL;
END $$;
CREATE TRIGGER count_dead AFTER INSERT ON unlost.dead REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION unlost.count_dead('1');
CREATE TRIGGER count_lifted AFTER DELETE ON unlost.dead REFERENCING OLD TABLE AS changed
  FOR EACH STATEMENT EXECUTE FUNCTION unlost.count_dead('-1');

-- Else a role that may only look could make a trigger of its own that does all that these may.
REVOKE EXECUTE ON FUNCTION unlost.list_cancelled(), unlost.know_dead(), unlost.count_dead(),
  unlost.purge_steps() FROM PUBLIC;
"""
