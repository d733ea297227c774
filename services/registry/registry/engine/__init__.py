"""What the registry reaches outside with: the object store, and the process that reads data sets."""
