"""The worker: claims due tasks, has their handlers run, settles the attempts.

`worker` has the loop, `running` the attempts under way, `attempt` one attempt from its start to
its settlement, `settling` the way back to the ledger, `threads` the threads for sync handlers,
`output` what handlers print.
"""
