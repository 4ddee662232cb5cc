"""`unlost outbox …`: the outboxes of applications."""
