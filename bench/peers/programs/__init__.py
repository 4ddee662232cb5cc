"""What runs in processes of its own, the peers' among their own packages."""
