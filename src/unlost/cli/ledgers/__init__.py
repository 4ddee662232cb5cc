"""What works on a ledger itself, without a service."""
