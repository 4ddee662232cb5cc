"""Steps of tasks: what attempts record of effects that happen once."""
