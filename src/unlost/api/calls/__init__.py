"""The calls: what is done for each operation."""
