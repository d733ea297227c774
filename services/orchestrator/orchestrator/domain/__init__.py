"""What the orchestrator decides: types and pure functions. No await, no clock, no chance, no I/O."""
