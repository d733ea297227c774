"""A run's log as it comes, with a live plot of its loss below."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from llm_platform.cli.output import Output
from llm_platform.cli.plot import plot
from llm_platform.schemas.answers import LogRecord

_WIDTH = 100
"""At most; a terminal's own, if that is less."""
_HEIGHT = 8
_COLOURS = {"WARN": "yellow", "ERROR": "red", "METRIC": "cyan"}


class Losses:
    """What training told of its loss, and of that on the held-out part."""

    def __init__(self) -> None:
        self._train: list[tuple[float, float]] = []
        self._eval: list[tuple[float, float]] = []
        self._last = ""

    def take(self, log: LogRecord) -> None:
        if log.step is None:
            return
        if log.loss is not None:
            self._train.append((float(log.step), log.loss))
            total = f" of {log.total_steps}" if log.total_steps else ""
            speed = f", {log.tokens_per_second:,.0f} tokens/s" if log.tokens_per_second else ""
            self._last = f"step {log.step}{total}: loss {log.loss:.4g}{speed}"
        if log.eval_loss is not None:
            self._eval.append((float(log.step), log.eval_loss))

    def drawn(self, width: int) -> RenderableType:
        if len(self._train) < 2:
            return Text("")
        held_out = f"; held out {self._eval[-1][1]:.4g}" if self._eval else ""
        lines = plot(self._train, min(_WIDTH, width), _HEIGHT)
        return Group(Text("\n".join(lines), style="cyan"), Text(f"{self._last}{held_out}", style="dim"))


def show_logs(logs: Iterable[LogRecord], output: Output) -> None:
    """Until the log ends. Scripts get a line of JSON for each record, and pipes a line of text."""
    if output.as_json:
        for log in logs:
            output.write(log.model_dump(mode="json", exclude_none=True))
        return
    if not output.out.is_terminal:
        for log in logs:
            output.text(line(log))
        return
    losses = Losses()
    with Live(losses.drawn(output.out.width), console=output.out, refresh_per_second=8) as live:
        for log in logs:
            losses.take(log)
            live.update(losses.drawn(output.out.width))
            if log.level != "METRIC":
                live.console.print(Text(line(log), style=_COLOURS.get(log.level, "")), soft_wrap=True)


def line(log: LogRecord) -> str:
    """`12:30:01 TrainingAgent METRIC Training step completed (step 10, loss 1.85)`."""
    numbers = [
        f"{name} {value:.4g}"
        for name in ("step", "epoch", "loss", "eval_loss")
        if (value := getattr(log, name)) is not None
    ]
    told = f" ({', '.join(numbers)})" if numbers else ""
    return f"{log.timestamp:%H:%M:%S} {log.agent:<18} {log.level:<6} {log.message}{told}"
