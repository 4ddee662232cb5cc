"""Those who wait for something to happen, and those who follow all that happens."""
