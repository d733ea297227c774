"""What checks say."""

from collections.abc import Iterator

Findings = Iterator[str | None]
"""One for each thing that was looked at: what is wrong with it, or None."""


def unless(holds: bool, complaint: str) -> str | None:
    return None if holds else complaint
