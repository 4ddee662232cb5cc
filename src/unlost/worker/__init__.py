"""The worker: claims due tasks, has their handlers run, settles the attempts.

`worker` has its life from start to end, `enlisting` its entry in the ledger, `claiming` the loop
that claims, `executing` what it does with what it claimed, `ending` why it stops and how.
`attempt` is one attempt from its start to its settlement, `unavailable` the waits while the ledger
does not answer.  Beneath them are three rooms: `running` has the attempts under way, `effects` what
outlasts them, `settling` the way back to the ledger.
"""
