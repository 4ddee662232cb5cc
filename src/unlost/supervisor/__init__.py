"""The process tree of `serve`, `api` and `worker`: one supervisor and the children it keeps.

The supervisor runs no handler and serves no request, so that it is there to see its children end:
it settles what a dead worker left, starts another, extends the leases of the living, sweeps, and
reports dead letters.  Children are `python -m unlost.child ROLE` (see `brief` for what they and
their supervisor tell each other).
"""

from unlost.supervisor.run import run
from unlost.supervisor.tree import CannotStart

__all__ = ["CannotStart", "run"]
