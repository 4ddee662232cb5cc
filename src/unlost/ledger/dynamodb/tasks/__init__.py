"""Tasks: submitted, read, listed, counted, copied, and what people do to one."""
