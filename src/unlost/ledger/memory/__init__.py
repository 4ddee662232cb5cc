"""The ledger in memory: the shortest one that keeps every promise, and so their specification.

One suite tests all ledgers, and property tests step each real one beside it.  Steps are atomic.

`kept` is one task, `store` all that is kept and how a task changes; each other file keeps the
promises of the part of `ledger.protocol` that has its name.
"""

from unlost.ledger.memory.ledger import MemoryLedger

__all__ = ["MemoryLedger"]
