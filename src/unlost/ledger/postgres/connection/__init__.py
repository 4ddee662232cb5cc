"""What carries steps to the store."""
