"""How results look: tables and plots; `progress` while something goes on."""
