"""`unlost doctor`, and its checks."""
