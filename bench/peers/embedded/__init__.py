"""The embedded home beside queues on Redis: `python -m bench.peers --embedded`."""
