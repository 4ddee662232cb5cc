"""API keys in the SQLite ledger."""
