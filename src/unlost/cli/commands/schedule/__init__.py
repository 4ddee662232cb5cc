"""`unlost schedule`: what is submitted at set times."""
