"""`unlost prove`; the proof itself is `unlost.prove`."""
