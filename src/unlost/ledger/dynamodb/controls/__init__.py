"""What is set for types: pauses, limits and breakers, and what holds attempts to them."""
