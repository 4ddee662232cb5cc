"""The parts of the ledger, named as in `ledger.protocol`: each method calls a step."""
