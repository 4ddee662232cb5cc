"""Attempts: claimed, settled, and the workers that run them."""
