"""What a client does, without I/O: what to send, what an answer means, when to try again."""
