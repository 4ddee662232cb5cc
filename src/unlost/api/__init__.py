"""The HTTP API: an ASGI app over a ledger."""
