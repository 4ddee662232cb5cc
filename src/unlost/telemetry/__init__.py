"""What the service tells of itself: its log, its measures, and what is left out of both."""
