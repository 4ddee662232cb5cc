"""Who may do what: API keys, their scopes and bounds.  Pure: no I/O, no clock."""
