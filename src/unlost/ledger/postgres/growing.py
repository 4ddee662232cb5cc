"""What ledgers of millions need, since version 7 of the tables: room that is used, and which tasks
a list of what succeeded may pass over.

A trigger keeps it, since older code that purges knows nothing of it (see `listed`).
"""

from __future__ import annotations

from typing import Final

from unlost.ledger.postgres.connection.lookup import LAST_SEQ

# A task's last version is longer by some 24 bytes: by its state, a timeout and a number.  With half
# a page kept free, one in eight found no room beside itself and got another entry in every index.
#
# What is longer than a quarter of a page goes elsewhere in parts of a quarter: 2,000 bytes as one
# of them and a rest of four bytes, with two entries in an index, and a page holds three all the
# same.  Up to 2 KiB it stays where it is.
GROWING: Final = f"""
ALTER TABLE unlost.task SET (fillfactor = 46);
ALTER TABLE unlost.payload SET (toast_tuple_target = 2096);
ALTER TABLE unlost.result SET (toast_tuple_target = 2096);

CREATE TABLE unlost.purged (     -- above this position no task is that succeeded and of whose
  one boolean PRIMARY KEY DEFAULT true CHECK (one),  -- attempts nothing is kept
  up_to bigint NOT NULL
);
CREATE FUNCTION unlost.tell_purged() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  UPDATE unlost.purged SET up_to = newest FROM (SELECT max(seq) AS newest FROM gone) AS one
  WHERE up_to < newest;
  RETURN NULL;
END $$;
CREATE TRIGGER tell_purged AFTER DELETE ON unlost.payload REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION unlost.tell_purged();
INSERT INTO unlost.purged (up_to) VALUES (coalesce({LAST_SEQ}, 0));  -- what was there is not known
REVOKE EXECUTE ON FUNCTION unlost.tell_purged() FROM PUBLIC;
"""

MILESTONES: Final = """
CREATE TABLE unlost.milestone (  -- tasks up to this position were submitted no later, all others
  seq bigint PRIMARY KEY,        -- no earlier (see `upkeep.milestones`)
  submitted_at bigint NOT NULL
);
"""
