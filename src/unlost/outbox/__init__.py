"""Work that begins with an application's own transaction.

An application puts rows into the table `unlost_outbox` of its own database (`adding`); a relay
submits them and removes them once they are accepted.  So a task exists if and only if the
transaction committed.  `rows` decides, without I/O, what a row asks for and what an answer means
for it; `postgres` and `sqlite` keep the tables; `relay` is the loop.
"""

from unlost.outbox.adding import add

__all__ = ["add"]
