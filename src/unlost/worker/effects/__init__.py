"""What a handler does that outlasts its attempt: steps, follow-ups and transactions."""
