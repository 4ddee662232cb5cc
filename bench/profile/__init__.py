"""Where one submit's time goes, from socket to socket: `python -m bench.profile`."""
