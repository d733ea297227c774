"""What every service is built on: bus, database, object store, telemetry and the service shell."""
