"""The table at the end of the demo."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from embedded.demo.tour import Record

_BARS = "▁▂▃▄▅▆▇█"


def show(console: Console, record: Record, url: str, key_file: str) -> None:
    """Each stage with its time, rows, tokens, tokens a second and loss, then where to look next."""
    table = Table(title="\nWhat happened", title_justify="left")
    for name, justify in (
        ("stage", "left"),
        ("seconds", "right"),
        ("rows", "right"),
        ("tokens", "right"),
        ("tokens/s", "right"),
        ("loss before → after", "right"),
    ):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for row in _rows(record):
        table.add_row(*row)
    console.print(table)
    if record.losses:
        first, last = record.losses[0], record.losses[-1]
        console.print(f"Loss of training  {first:.3f} [cyan]{_curve(record.losses)}[/] {last:.3f}\n", highlight=False)
    model_id = record.job["model_id"]
    console.print("[bold]Where to look next[/]")
    console.print(f"   {url}/docs  every route of the platform, to read and to try", highlight=False)
    for path in (f"/api/v1/models/{model_id}/card", f"/api/v1/jobs/{record.job['job_id']}"):
        # Not wrapped: made to be copied.
        command = f'   curl -H "Authorization: Bearer $(cat {key_file})" {url}{path}'
        console.print(command, highlight=False, soft_wrap=True)


def _rows(record: Record) -> list[tuple[str, str, str, str, str, str]]:
    result = record.job["result"]
    seconds = {step["agent_name"]: _seconds(step) for step in record.job["steps"]}
    rows = [("upload", f"{record.stages['upload']:.1f}", str(record.dataset["analysis"]["rows"]), "", "", "")]
    for name, output in result.items():
        rows.append((name, f"{seconds.get(name, 0):.1f}", *_numbers(output)))
    rows.append(("questions", f"{record.stages['questions']:.1f}", "", "", "", ""))
    total = sum(record.stages.values())
    rows.append(("[bold]all[/]", f"[bold]{total:.1f}[/]", "", "", "", ""))
    return rows


def _curve(values: Sequence[float], width: int = 54) -> str:
    """The values as a line of bars, each the mean of its share."""
    bounds = [round(i * len(values) / width) for i in range(width + 1)]
    means = [fmean(values[a:b]) for a, b in pairwise(bounds) if a < b]
    low, high = min(means), max(means)
    step = (high - low) / (len(_BARS) - 1) or 1.0
    return "".join(_BARS[round((mean - low) / step)] for mean in means)


def _numbers(output: dict[str, Any]) -> tuple[str, str, str, str]:
    """Rows, tokens, tokens a second and losses of an agent's output, where it has them."""
    match output["kind"]:
        case "PreprocessingAgent":
            tokens = output["train_tokens"] + output["eval_tokens"]
            return f"{output['train_rows']} + {output['eval_rows']}", f"{tokens:,}", "", ""
        case "TrainingAgent":
            rate = output["tokens"] / output["seconds"] if output["seconds"] else 0.0
            losses = f"{output['first_loss']:.3f} → {output['final_loss']:.3f}"
            return f"{output['steps']} steps", f"{output['tokens']:,}", f"{rate:,.0f}", losses
        case "EvaluationAgent":
            losses = f"{output['base_loss']:.3f} → [bold]{output['loss']:.3f}[/]"
            return str(output["rows"]), f"{output['tokens']:,}", "", losses
        case _:
            return str(output.get("rows", "")), "", "", ""


def _seconds(step: dict[str, Any]) -> float:
    if not step["started_at"] or not step["finished_at"]:
        return 0.0
    return (datetime.fromisoformat(step["finished_at"]) - datetime.fromisoformat(step["started_at"])).total_seconds()
