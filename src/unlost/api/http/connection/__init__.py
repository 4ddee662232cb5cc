"""A connection: its bytes in and out, how long it is waited for, what all may take, its end."""
