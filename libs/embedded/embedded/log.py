"""One readable log of all processes: time, a name in its colour, level, event, and what else a line says.

Services write JSON lines, the servers each their own form; here all come out alike.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

from pydantic import TypeAdapter, ValidationError

_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
_LEVEL_COLOURS = {"warning": 33, "error": 31, "critical": 31}
_NAME_WIDTH = 16
_EVENT_WIDTH = 28
_ROUTINE = ("the database system is starting up", "Healthcheck failed", "Plaintext passwords detected")
"""Said at healthy starts, yet not as information: our own probes came early; the file with the passwords is private."""
# Known to the reader from the name of the line, or of use to machines alone.
_LEFT_OUT = frozenset({"service", "span_id"})


@dataclass(frozen=True)
class Entry:
    """One line of a process. `text` is its event; `details` are shown as key=value, `trace` on lines of its own."""

    text: str
    level: str = "info"
    moment: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    trace: str = ""


Parse = Callable[[str], Entry | None]
"""Reads a line; None when the line has another form."""

_TIMESTAMP = TypeAdapter(datetime)
_NATS = re.compile(r"^\[\d+\] \S+ \S+ \[(?P<level>[A-Z]{3})\] ?(?P<text>.*)$")
_NATS_LEVELS = {"INF": "info", "DBG": "debug", "TRC": "debug", "WRN": "warning", "ERR": "error", "FTL": "critical"}
_POSTGRES = re.compile(r"^(?P<level>[A-Z]+\d?):\s+(?P<text>.*)$")
_POSTGRES_LEVELS = {"WARNING": "warning", "ERROR": "error", "FATAL": "error", "PANIC": "critical"}
_SEAWEEDFS = re.compile(r"^(?P<level>[IWEF])\d{4} \S+ (?P<text>.*)$")
_VLLM = re.compile(r"^(\(.+? pid=\d+\) )?(?P<level>[A-Z]+):? +(\d\d-\d\d [\d:]{8} )?(\[\S+:\d+\] ?)?(?P<text>.*)$")
_SEAWEEDFS_LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "critical"}


def parse_json(line: str) -> Entry | None:
    """A structlog line of a service."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    try:
        moment: datetime | None = _TIMESTAMP.validate_python(values.pop("timestamp", None))
    except ValidationError:
        moment = None
    return Entry(
        text=str(values.pop("event", "")),
        level=str(values.pop("level", "info")),
        moment=moment,
        trace=str(values.pop("exception", "")),
        details={key: value for key, value in values.items() if key not in _LEFT_OUT},
    )


def parse_nats(line: str) -> Entry | None:
    return _parse_server(line, _NATS, _NATS_LEVELS)


def parse_postgres(line: str) -> Entry | None:
    return _parse_server(line, _POSTGRES, _POSTGRES_LEVELS)


def parse_seaweedfs(line: str) -> Entry | None:
    return _parse_server(line, _SEAWEEDFS, _SEAWEEDFS_LEVELS)


def parse_vllm(line: str) -> Entry | None:
    """It says much, and warns at every healthy start: what is no error is shown to those who want to see all."""
    if (entry := parse_json(line)) is not None:
        return entry
    match = _VLLM.match(line)
    failed = match is not None and match["level"] in ("ERROR", "CRITICAL")
    return Entry(match["text"] if match is not None else line, "error" if failed else "debug")


def _parse_server(line: str, pattern: re.Pattern[str], levels: Mapping[str, str]) -> Entry | None:
    match = pattern.match(line)
    if match is None:
        return None
    level, text = levels.get(match["level"], "info"), match["text"]
    # What a healthy server says in passing is noise beside the services.
    return Entry(text, "debug" if level == "info" or text.startswith(_ROUTINE) else level)


class Log:
    """Writes entries to a stream, from any thread. A reader that has gone away stops the log, not the platform."""

    def __init__(self, stream: TextIO, *, colour: bool, debug: bool = False) -> None:
        self._stream = stream
        self._colour = colour
        self._debug = debug
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}
        self._closed = False

    def write(self, name: str, entry: Entry) -> None:
        """Adds a line that the process `name` wrote."""
        if entry.level == "debug" and not self._debug:
            return
        with self._lock:
            self._put(self._rendered(name, entry))

    def say(self, text: str, level: str = "info", **details: object) -> None:
        """Adds a line of the supervisor's own."""
        self.write("platform", Entry(text, level, details=details))

    def show(self, text: str) -> None:
        """Adds text as it is."""
        with self._lock:
            self._put(text)

    def _put(self, text: str) -> None:
        if self._closed:
            return
        # Half of a surrogate pair, or what the terminal has no sign for, must not silence all that follows.
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._closed = True

    def _rendered(self, name: str, entry: Entry) -> str:
        moment = (entry.moment or datetime.now().astimezone()).astimezone()
        time = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        level = self._painted(f"{entry.level:<8}", _LEVEL_COLOURS.get(entry.level, 2))
        details = " ".join(f"{self._painted(key, 2)}={_value(value)}" for key, value in entry.details.items())
        text = f"{entry.text:<{_EVENT_WIDTH}} {details}" if details else entry.text
        bar = self._painted(f"{name:<{_NAME_WIDTH}}", colour)
        trace = "".join(f"\n{bar} {line}" for line in entry.trace.splitlines())
        return f"{self._painted(time, 2)} {bar} {level} {text}{trace}"

    def _painted(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or not text.isprintable() else text
