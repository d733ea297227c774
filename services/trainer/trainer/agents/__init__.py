"""The agents: one module each, every one a function from an `Assignment` to its output."""
