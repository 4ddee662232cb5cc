"""Schedules: when their times are.  Pure; imported only where there are schedules."""
