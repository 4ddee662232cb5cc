"""API keys in the PostgreSQL ledger."""
