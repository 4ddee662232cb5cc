"""What keeps an attempt from starting, and why a task waits."""
