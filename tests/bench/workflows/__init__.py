"""`make bench-workflows`: durable runs of three steps, beside DBOS Transact on the same Postgres."""
