"""The children as their supervisor has them: forked off or started, and ended where they hang."""
