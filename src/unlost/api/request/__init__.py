"""Reading what a call brings: its body, its query, what it submits."""
