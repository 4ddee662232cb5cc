"""What calls answer, as it goes out."""
