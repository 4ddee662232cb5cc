"""The service that a command talks to: how it is asked, and its answers."""
