"""The queues: what goes through them, when it comes again, and what came that is not ours."""
