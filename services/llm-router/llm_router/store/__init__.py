"""What the router remembers: all of its SQL, one module per noun. Each function takes a connection first."""
