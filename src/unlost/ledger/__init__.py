"""The ledgers: the durable record of every task and every attempt."""
