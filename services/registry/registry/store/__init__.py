"""What the registry remembers: the only SQL. Functions take a connection first and return contract types."""


def storable(text: str) -> bool:
    """Whether Postgres can hold `text` at all; what it cannot hold, it cannot find either."""
    return "\0" not in text
