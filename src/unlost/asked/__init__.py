"""What a task may ask for: the rules of a submit, the same for clients and for handlers.  Pure."""
