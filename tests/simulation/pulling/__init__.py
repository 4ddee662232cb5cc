"""Workers that claim by the API, in the simulation: its calls over a network that has an adversary
of its own, the service that answers them, and what must hold."""
