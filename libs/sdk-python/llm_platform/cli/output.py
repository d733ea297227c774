"""What is shown: tables and bars to people on a terminal, JSON to scripts."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from llm_platform.core.transfers import Progress

_ENDLESS = 100_000
"""A pipe has no width to keep to."""
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read has seen enough, which is no failure."""
        with suppress(SystemExit):
            super().on_broken_pipe()
        raise SystemExit(0)


def console(*, stderr: bool) -> Console:
    """What is written is data, whatever brackets and colons are in it."""
    made = _Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not (stderr or made.is_terminal):
        made.width = _ENDLESS
    return made


@dataclass(frozen=True)
class Output:
    """`out` is for results alone; all that is said meanwhile goes to `notes`, which is the standard error."""

    out: Console
    notes: Console
    as_json: bool

    def show(self, value: BaseModel | Mapping[str, Any], *fields: str) -> None:
        """One thing: its fields, or those named."""
        if self.as_json:
            self.write(_plain(value))
            return
        self.out.print(_one(dict(value), fields))

    def table(self, rows: Iterable[BaseModel | Mapping[str, Any]], *columns: str) -> None:
        """Many things, one a row, or one below the other where a row has no room; as JSON, one a line."""
        if self.as_json:
            for row in rows:
                self.write(_plain(row))
            return
        found = [dict(row) for row in rows]
        table = Table(header_style="bold", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column.endswith("id"))
        for row in found:
            table.add_row(*(_cell(row.get(column), "%Y-%m-%d %H:%M") for column in columns))
        if Measurement.get(self.out, self.out.options.update(width=_ENDLESS), table).minimum <= self.out.width:
            self.out.print(table)
            return
        for row in found:
            self.out.print(_one(row, columns), "")

    def write(self, value: object) -> None:
        """A line of JSON."""
        self.out.print(json.dumps(value, ensure_ascii=False, default=str), soft_wrap=True)

    def text(self, text: str, *, end: str = "\n") -> None:
        self.out.print(_shown(text) if self.out.is_terminal else text, end=end, soft_wrap=True)

    def note(self, text: str) -> None:
        """Said to people alone."""
        if not self.as_json:
            self.notes.print(text, soft_wrap=True)

    @contextmanager
    def bar(self, title: str) -> Iterator[Progress]:
        """A bar for bytes on their way, where there is a terminal to draw on."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Bars(
            *columns, console=self.notes, disable=self.as_json or not self.notes.is_terminal, transient=True
        ) as bars:
            task = bars.add_task(title, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)


def _shown(text: str) -> str:
    """Without what would steer the terminal: who writes the text is a model, or a stranger's file."""
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)


def _one(value: Mapping[str, Any], fields: Iterable[str]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name in fields or value:
        table.add_row(name, _cell(value.get(name)))
    return table


def _plain(value: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else dict(value)


def _cell(value: Any, moment: str = "%Y-%m-%d %H:%M:%S") -> str:  # noqa: PLR0911 - one for each kind
    match value:
        case None:
            return "–"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.4g}"
        case datetime():
            return value.astimezone().strftime(moment)
        case list() if all(isinstance(part, str | int) for part in value):
            return _shown(", ".join(map(str, value)))
        case BaseModel():
            return _cell(value.model_dump(mode="json", exclude_none=True))
        case dict() if value and all(isinstance(part, int | float) for part in value.values()):
            return ", ".join(f"{_shown(str(name))} {_cell(part)}" for name, part in value.items())
        case dict() | list():
            return _shown(json.dumps(value, ensure_ascii=False, default=_jsonable))
        case _:
            return _shown(str(value))


def _jsonable(value: object) -> Any:
    return value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else str(value)
