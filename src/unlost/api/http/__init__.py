"""What every call passes: the connection, its route, its key, its way to an endpoint."""
