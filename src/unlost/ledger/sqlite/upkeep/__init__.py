"""Upkeep: what is done now and then, by age and by time."""
