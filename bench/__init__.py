"""Benchmarks: ratios from one run on one machine.  `python -m bench`, or `make bench`."""
