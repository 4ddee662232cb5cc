"""`unlost demo`."""
