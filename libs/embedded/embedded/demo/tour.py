"""The demo's five steps, one after another, each shown as it happens."""

import asyncio
import json
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from embedded.demo.api import Api, ApiError, Json
from embedded.demo.pipeline import MODEL_NAME, job

_QUESTIONS = 2
_ANSWER_TOKENS = 60


class DemoFailed(Exception):
    """The platform did not do what the demo promises."""


@dataclass
class Record:
    """What the demo measured, for the table at its end. Times are seconds."""

    stages: dict[str, float] = field(default_factory=dict)
    job: Json = field(default_factory=dict)
    dataset: Json = field(default_factory=dict)
    model: Json = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    """Of training, in nats a token, as the log told them."""
    adapter_bytes: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.stages[name] = time.monotonic() - started


class Tour:
    """Walks the main job against the platform behind `api`."""

    def __init__(self, api: Api, console: Console, base_model: str, work: Path) -> None:
        self._api = api
        self._console = console
        self._base_model = base_model
        self._work = work
        self.record = Record()

    async def walk(self, file: Path, questions: list[str], epochs: float) -> Record:
        """Runs all steps; raises DemoFailed or ApiError when one does not hold."""
        with self.record.stage("upload"):
            dataset_id = await self._upload(file)
        self._heading(
            "2", "Submit the job: dataset → validation → preprocessing → training → evaluation → export → registration"
        )
        accepted = await self._api.post("/api/v1/jobs", job(dataset_id, self._base_model, epochs))
        self._console.print(f"   job [bold]{accepted['job_id']}[/] is {accepted['status']}")
        self._heading("3", "Follow its log, live")
        with self.record.stage("job"):
            await self._follow(accepted["job_id"], accepted["job_id"].removeprefix("job_"))
        await self._inspect_model()
        with self.record.stage("questions"):
            for question in questions[:_QUESTIONS]:
                await self._ask(question)
            await self._test_prompt(questions[0])
        return self.record

    def _heading(self, number: str, text: str) -> None:
        self._console.print(f"\n[bold cyan]{number}.[/] [bold]{text}[/]")

    async def _upload(self, file: Path) -> str:
        self._heading("1", f"Upload {file.name} ({file.stat().st_size / 1e6:.2f} MB) and see its analysis")
        uploaded = await self._api.upload("/api/v1/datasets/upload", file)
        self.record.dataset = uploaded
        analysis = uploaded["analysis"]
        stats = analysis["stats"]
        self._console.print(
            f"   [bold]{uploaded['dataset_id']}[/]: {analysis['rows']} rows, columns {', '.join(analysis['columns'])};"
            f" text column [bold]{analysis['text_column']}[/], {stats['min_length']}–{stats['max_length']} characters"
            f" (mean {stats['avg_length']:.0f})"
        )
        preview = await self._api.get(f"/api/v1/datasets/{uploaded['dataset_id']}/preview?limit=1")
        self._console.print(Panel(json.dumps(preview["samples"][0], indent=1), title="first row", width=110))
        dataset_id: str = uploaded["dataset_id"]
        return dataset_id

    async def _follow(self, job_id: str, run_id: str) -> None:
        """Shows the log until the job ends. A connection that breaks is taken up where it was: `Last-Event-ID`."""
        last: str | None = None
        columns = (
            TextColumn("   {task.description}"),
            BarColumn(40),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=False) as progress:
            bar = progress.add_task("training", total=None, loss="", visible=False)
            while True:
                try:
                    async for identifier, event, data in self._api.events(f"/api/v1/logs/stream/{run_id}", after=last):
                        if event == "end":
                            break
                        last = identifier or last
                        self._show(progress, bar, json.loads(data))
                except (aiohttp.ClientError, TimeoutError, ApiError):
                    # A service that restarts must not end the tour; a job that is gone is found out below.
                    await asyncio.sleep(1)
                self.record.job = await self._job(job_id)
                if self.record.job["status"] not in ("pending", "running"):
                    break
        if self.record.job["status"] != "completed":
            raise DemoFailed(f"the job is {self.record.job['status']}: {self.record.job.get('error')}")

    async def _job(self, job_id: str) -> Json:
        for attempt in range(30):
            try:
                return await self._api.get(f"/api/v1/jobs/{job_id}")
            except (aiohttp.ClientError, TimeoutError, ApiError):
                if attempt == 29:
                    raise
                await asyncio.sleep(1)
        raise AssertionError("unreachable")

    def _show(self, progress: Progress, bar: Any, log: Json) -> None:
        if log["level"] == "METRIC" and log.get("loss") is not None:
            total = log.get("total_steps")
            if log["agent"] == "TrainingAgent":
                self.record.losses.append(log["loss"])
            loss = f"step {log.get('step')}/{total}  loss [bold]{log['loss']:.3f}[/]"
            progress.update(bar, visible=True, total=total, completed=log.get("step"), loss=loss)
            return
        colour = {"WARN": "yellow", "ERROR": "red"}.get(log["level"], "dim")
        progress.console.print(f"   [{colour}]{log['agent']:>19}[/]  {log['message']}", highlight=False)

    async def _inspect_model(self) -> None:
        self._heading("4", "The registered model: its metrics, its card, its adapter")
        model_id = self.record.job["model_id"]
        self.record.model = await self._api.get(f"/api/v1/models/{model_id}")
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in self.record.model["metrics"].items())
        self._console.print(f"   [bold]{model_id}[/] ({self.record.model['model_name']}): {metrics}")
        card = await self._api.get_text(f"/api/v1/models/{model_id}/card")
        self._console.print(
            Panel(Markdown(_sections(card, "Model Description", "Evaluation Metrics")), title="model card")
        )
        archive = self._work / f"{model_id}-adapter.tar"
        self.record.adapter_bytes = await self._api.download(
            f"/api/v1/models/{model_id}/download?format=adapter", archive
        )
        with tarfile.open(archive) as tar:
            names = ", ".join(sorted(tar.getnames()))
        self._console.print(f"   {archive} ({self.record.adapter_bytes / 1e6:.2f} MB): {names}")

    async def _ask(self, question: str) -> None:
        """The same question to the trained model, streamed, and to its base, at once."""
        self._heading("5", question)
        body = {"messages": [{"role": "user", "content": question}], "max_tokens": _ANSWER_TOKENS, "temperature": 0}
        self._console.print(f"   [bold green]{MODEL_NAME:>12}[/] ", end="")
        pieces = 0
        async for text in self._api.chat(body | {"model": self.record.job["model_id"]}):
            self._console.print(text, end="", markup=False, highlight=False)
            pieces += 1
        self._console.print()
        if not pieces:
            raise DemoFailed("the trained model streamed no text")
        base = await self._api.post("/v1/chat/completions", body | {"model": self._base_model})
        answer = base["choices"][0]["message"]["content"]
        self._console.print(f"   [bold yellow]{'its base':>12}[/] {answer}", highlight=False)

    async def _test_prompt(self, question: str) -> None:
        """Document B's test route, with the model asked for by its name."""
        result = await self._api.post(
            "/api/v1/llm/test",
            {"prompt": question, "model_name": MODEL_NAME, "temperature": 0, "max_tokens": _ANSWER_TOKENS, "input": ""},
        )
        self._console.print(
            f"\n   POST /api/v1/llm/test → {result['model']} in {result['duration']:.2f} s: {result['result']}"
        )


def _sections(card: str, *titles: str) -> str:
    """Those sections of a model card."""
    return "\n\n".join(f"## {part}" for part in card.split("\n## ") if part.startswith(titles))
