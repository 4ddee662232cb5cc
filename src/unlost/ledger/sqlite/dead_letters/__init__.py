"""Dead letters: reported, and redriven many at once."""
