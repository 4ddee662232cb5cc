"""A worker that claims by a service's API, on a machine that may not reach the ledger.

It is the worker of `unlost.worker` with another side to the outside: `service` makes the calls
(over `connections`), `wire` says what goes over them, `holding` knows what the worker holds,
`ends` settles, `puller` claims.  What a worker process holds stands on a `board`, which its
supervisor sees.
"""
