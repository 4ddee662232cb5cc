"""Handlers in any language: what their calls mean.  Pure; the calls themselves are in `api`."""
