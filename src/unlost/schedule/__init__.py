"""Schedules: when their times are, and what becomes of each.  Pure."""
