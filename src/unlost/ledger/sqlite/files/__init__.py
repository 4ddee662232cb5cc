"""The ledger's files: how they are opened, locked and shared, and whether they are still there."""
