"""A service at a steady rate for hours, and whether anything of it grows: see `__main__`."""
