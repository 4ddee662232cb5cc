"""What is stored: items of the table as values, and back.  Pure."""
