"""People: their passwords, and the sessions that they begin by logging in."""
