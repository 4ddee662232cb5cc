"""What a supervisor does for its worker processes, on a ledger or on a service elsewhere."""
