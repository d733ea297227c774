"""What is shown: tables and bars to people on a terminal, JSON to scripts."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from llm_platform.core.transfers import Progress


@dataclass(frozen=True)
class Output:
    """`out` is for results alone; all that is said meanwhile goes to `notes`, which is the standard error."""

    out: Console
    notes: Console
    as_json: bool

    def show(self, value: BaseModel | Mapping[str, Any], *fields: str) -> None:
        """One thing: its fields, or those named."""
        plain = _plain(value)
        if self.as_json:
            self.write(plain)
            return
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold")
        for name in fields or plain:
            table.add_row(name, _cell(plain.get(name)))
        self.out.print(table)

    def table(self, rows: Iterable[BaseModel | Mapping[str, Any]], *columns: str) -> None:
        """Many things, one a row; as JSON, one a line."""
        if self.as_json:
            for row in rows:
                self.write(_plain(row))
            return
        table = Table(*columns, header_style="bold", box=None, pad_edge=False)
        for row in rows:
            plain = _plain(row)
            table.add_row(*(_cell(plain.get(column)) for column in columns))
        self.out.print(table)

    def write(self, value: object) -> None:
        """A line of JSON."""
        self.out.print(
            json.dumps(value, ensure_ascii=False, default=str), highlight=False, markup=False, soft_wrap=True
        )

    def text(self, text: str, *, end: str = "\n") -> None:
        self.out.print(text, end=end, highlight=False, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Said to people alone."""
        if not self.as_json:
            self.notes.print(text, highlight=False, markup=False)

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
        with Bars(*columns, console=self.notes, disable=self.as_json, transient=True) as bars:
            task = bars.add_task(title, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)


def _plain(value: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else dict(value)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "–"
        case float():
            return f"{value:.4g}"
        case list() if all(isinstance(part, str | int) for part in value):
            return ", ".join(map(str, value))
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


Show = Callable[[Sequence[str]], None]
