"""How much of a log is kept and answered at once."""

from collections.abc import Iterable, Iterator

from contracts.orchestrator import LogEntry, LogRecord

_LONGEST_MESSAGE = 16_000
_PAGE_CHARACTERS = 500_000
"""Of all messages of a page together: with everything around them, a page stays within the bus's payload limit."""


def kept(record: LogRecord) -> LogRecord:
    """`record` as it is kept: a message of unreasonable length is cut."""
    if len(record.message) <= _LONGEST_MESSAGE:
        return record
    return record.model_copy(update={"message": record.message[: _LONGEST_MESSAGE - 1] + "…"})


def fitting(entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
    """As many of the first `entries` as one page may hold, at least one."""
    room = _PAGE_CHARACTERS
    for entry in entries:
        yield entry
        room -= len(entry.record.message)
        if room < _LONGEST_MESSAGE:
            return
