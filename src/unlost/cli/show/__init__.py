"""How results look: tables, plots, progress."""
