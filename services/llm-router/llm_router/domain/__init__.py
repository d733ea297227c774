"""What the router decides: types and pure functions, no waiting and no I/O."""
