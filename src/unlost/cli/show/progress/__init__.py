"""How something goes on: bars on a terminal, plain lines elsewhere."""
