"""Our trainer beside TRL's."""
