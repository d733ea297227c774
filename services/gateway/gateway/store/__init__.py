"""The gateway's memory. Every function takes a connection, and returns the domain's types."""
