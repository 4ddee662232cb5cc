"""Who may call the service: pure, without a clock or I/O."""
