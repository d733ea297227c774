"""An engine that runs no model and always says so, for trying the platform out, for tests and for benchmarks."""
