"""A whole ledger as lines of JSON, for another ledger to keep."""
