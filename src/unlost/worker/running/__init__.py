"""The attempts under way in a worker, the threads of sync handlers, and what handlers print."""
