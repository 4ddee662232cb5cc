"""One role in a process of its own, which ends with its supervisor."""
