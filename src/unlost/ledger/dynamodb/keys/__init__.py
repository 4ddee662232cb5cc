"""API keys in the DynamoDB ledger."""
