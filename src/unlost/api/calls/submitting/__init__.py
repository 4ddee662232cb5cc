"""Accepting tasks: what a submit may be, and when none is taken."""
