"""The process tree of `serve`, `api` and `worker`: one supervisor and the children it keeps.

The supervisor runs no handler and serves no request, so that it is there to see its children end:
it settles what a dead worker left, starts another, extends the leases of the living, sweeps, and
reports dead letters (`run`, `deadline`, and `tree` with its `processes` and `workers`).  A `child`
is one role in a process of its own; `brief` is what the two tell each other.
"""
