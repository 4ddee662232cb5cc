"""What keeps a ledger in order beside its workers, and tells people of what needs them."""
