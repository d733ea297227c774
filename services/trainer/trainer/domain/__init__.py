"""What the trainer decides: types and pure functions, without I/O."""
