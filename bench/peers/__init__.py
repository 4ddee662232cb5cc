"""Unlost on PostgreSQL beside other queues on the same server: `python -m bench.peers`."""
