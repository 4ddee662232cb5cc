"""What growth costs: each step of a ledger of millions beside the same of a small one."""
