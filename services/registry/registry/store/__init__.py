"""What the registry remembers: the only SQL. Functions take a connection first and return contract types."""
