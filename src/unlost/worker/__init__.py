"""The worker: claims due tasks, has their handlers run, settles the attempts.

`worker` has its life from start to end, `enlisting` its entry in the ledger, `claiming` the loop
that claims, `executing` what it does with what it claimed, `ending` why it stops and how.
`running` has the attempts under way, `attempt` one attempt from its start to its settlement,
`settling` the way back to the ledger, `unavailable` the waits while that does not answer,
`threads` the threads for sync handlers, `output` what handlers print.
"""
