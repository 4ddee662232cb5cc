"""What the memory ledger keeps: a task, a redrive, what is set for types."""
