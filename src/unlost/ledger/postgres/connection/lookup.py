"""SQL that finds rows one by one, by the index that is meant, whatever the planner believes.

What the server knows of a table may be long out of date, and of a batch it knows nothing: so no
statement leaves it a choice that hangs on such numbers.

* A row is looked up by itself, in a LATERAL that ends with OFFSET 0 or LIMIT 1; a join of a table
  with a batch may become one that reads the whole batch, or the whole table, for each row.
* `=` on a column lets any index in which it has a place be used, and where the table is believed
  to be empty all cost the same: the one that was made last is read from end to end.  A range in
  the order of the column leaves its own (`row`), as long as none has fewer levels: a key of one
  number has the fewest.  Else what is asked must be a condition for one index only.
* A row that this transaction has locked is changed by its place (`ctid`), which nobody can change
  meanwhile.
"""

from __future__ import annotations

from typing import Final

LAST_SEQ: Final = "(SELECT seq FROM unlost.task ORDER BY seq DESC LIMIT 1)"
"""Not max(seq): of a table that is believed to be empty it may read all."""


def row(table: str, seq: str) -> str:
    """A subquery for LATERAL: the row of a table by its primary key `seq`, with its `place`."""
    return f"""(
  SELECT *, ctid AS place FROM unlost.{table}
  WHERE {table}.seq BETWEEN {seq} AND {seq} ORDER BY {table}.seq LIMIT 1)"""


def locked_row(table: str, seq: str, how: str = "FOR UPDATE") -> str:
    """The same, locked."""
    return f"{row(table, seq).removesuffix(')')} {how})"
