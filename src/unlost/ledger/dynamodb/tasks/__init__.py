"""Tasks: submitted, read, listed, and what a person does to one."""
