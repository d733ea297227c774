"""How much of a log is kept and answered at once, and its numbers by who measured them."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from contracts.orchestrator import LogEntry, LogRecord, MetricSeries

_LONGEST_MESSAGE = 16_000
_LARGEST = 2**53
"""Larger integers are no counts, and JSON has none that all readers understand."""
_PAGE_CHARACTERS = 500_000
"""Of all messages of a page together: with everything around them, a page stays within the bus's payload limit."""


def kept(record: LogRecord) -> LogRecord:
    """`record` as it is kept: a message of unreasonable length is cut, and numbers beyond all reason are left out."""
    changed: dict[str, Any] = {
        name: None for name, value in record if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST
    }
    if len(record.message) > _LONGEST_MESSAGE:
        changed["message"] = record.message[: _LONGEST_MESSAGE - 1] + "…"
    return record.model_copy(update=changed) if changed else record


def fitting(entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
    """As many of the first `entries` as one page may hold, at least one."""
    room = _PAGE_CHARACTERS
    for entry in entries:
        yield entry
        room -= len(entry.record.message)
        if room < _LONGEST_MESSAGE:
            return


def series(records: Iterable[LogRecord]) -> list[MetricSeries]:
    """What each agent measured. `records` are in the order of agents."""
    return [
        MetricSeries(agent=agent, agent_name=name, points=[_numbers(record) for record in measured])
        for (agent, name), measured in groupby(records, lambda record: (record.agent, record.agent_name))
    ]


def _numbers(record: LogRecord) -> dict[str, int | float]:
    return {name: value for name, value in record.model_dump().items() if isinstance(value, int | float)}
