"""How the ends of attempts come to the ledger, also of those whose worker cannot any more."""
