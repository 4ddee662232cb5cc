"""The commands, each in a file named as it is typed."""
