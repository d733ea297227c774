"""Pipelines: `pipeline run`, `jobs`, `logs`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from llm_platform.cli.following import show_logs
from llm_platform.cli.session import Session, options, session
from llm_platform.errors import JobFailed
from llm_platform.schemas.answers import Job

pipeline = typer.Typer(help="Fine-tuning pipelines.", no_args_is_help=True)
jobs = typer.Typer(help="Pipeline jobs.", no_args_is_help=True)

Status = Literal["pending", "running", "paused", "completed", "failed", "cancelled"]


def register(app: typer.Typer) -> None:
    app.add_typer(pipeline, name="pipeline")
    app.add_typer(jobs, name="jobs")
    app.command()(logs)


@pipeline.command("run")
def run_pipeline(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="A job, as JSON")] = None,
    template: Annotated[str | None, typer.Option(help="One of the usual jobs: finetune, prepare, validate")] = None,
    dataset: Annotated[str | None, typer.Option(help="The id of a data set, or a file to upload")] = None,
    base_model: Annotated[str | None, typer.Option(help="What to fine-tune")] = None,
    name: Annotated[str | None, typer.Option(help="The name of the model that is made")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="agent.option=value, e.g. training.epochs=3")] = None,
    detach: Annotated[bool, typer.Option(help="Do not wait for its end")] = False,
) -> None:
    """Submit a job, of a FILE or a template, and follow it to its end."""
    here = session(context)
    if (file is None) == (template is None):
        raise typer.BadParameter("give a FILE or a --template")
    job = _written(file) if file is not None else _of_template(here, template, dataset, base_model, name, set_ or [])
    accepted = here.client.jobs.create(job)
    here.output.note(f"{accepted.job_id} is {accepted.status}")
    if detach:
        here.output.show(accepted, "job_id", "run_id", "status")
        return
    try:
        show_logs(here.client.logs.stream(accepted.run_id), here.output)
    except KeyboardInterrupt:
        here.output.note(f"\nThe job goes on: see `jobs show {accepted.job_id}`, or `jobs cancel {accepted.job_id}`")
        raise
    _tell_end(here, accepted.job_id)


def _written(file: Path) -> dict[str, Any]:
    try:
        job = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}") from error
    if not isinstance(job, dict):
        raise typer.BadParameter(f"{file} is not an object")
    return job if {"pipeline_config", "template"} & job.keys() else {"pipeline_config": job}


def _of_template(
    here: Session, template: str | None, dataset: str | None, base_model: str | None, name: str | None, pairs: list[str]
) -> dict[str, Any]:
    if dataset is not None and Path(dataset).is_file():
        with here.output.bar(f"Uploading {dataset}") as progress:
            dataset = here.client.datasets.upload(dataset, progress=progress).dataset_id
    given = {"dataset_id": dataset, "base_model": base_model, "model_name": name, "configs": options(pairs) or None}
    return {"template": template, **{field: value for field, value in given.items() if value is not None}}


def _tell_end(here: Session, job_id: str) -> None:
    """Raises `JobFailed` where it did not complete."""
    job = here.client.jobs.get(job_id)
    if job.status != "completed":
        reason = "" if job.error is None else f": {job.error.message}"
        raise JobFailed(f"{job_id} is {job.status}{reason}")
    here.output.show(job, "job_id", "status", "model_id") if not here.as_json else here.output.write(
        {"job_id": job_id, "status": job.status, "model_id": job.model_id}
    )


@jobs.command("list")
def list_jobs(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option()] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
) -> None:
    """List jobs, newest first."""
    here = session(context)
    rows = (_row(here, job) for job in here.client.jobs.list(status=status, limit=limit))
    here.output.table(rows, "job_id", "status", "progress", "created_at", "model_id")


def _row(here: Session, job: Job) -> Job | dict[str, Any]:
    """How far it is, for people."""
    if here.as_json:
        return job
    done, total = len(job.progress.completed_agents), job.progress.total_agents
    return {**dict(job), "progress": f"{job.progress.percent:.0f} % ({done} of {total})"}


@jobs.command()
def show(context: typer.Context, job_id: str) -> None:
    """Show a job."""
    here = session(context)
    fields = ("job_id", "status", "created_at", "started_at", "completed_at", "progress", "model_id", "error")
    here.output.show(_row(here, here.client.jobs.get(job_id)), *fields)


@jobs.command()
def cancel(context: typer.Context, job_id: str) -> None:
    """Cancel a job."""
    here = session(context)
    here.output.show(here.client.jobs.cancel(job_id))


@jobs.command()
def delete(context: typer.Context, job_id: str) -> None:
    """Delete a job that has ended, with its log and all that only it needs."""
    here = session(context)
    here.output.show(here.client.jobs.delete(job_id))


@jobs.command()
def pause(context: typer.Context, job_id: str) -> None:
    """Pause a job: what trains keeps a checkpoint and stops."""
    here = session(context)
    here.output.show(here.client.jobs.pause(job_id), "job_id", "status")


@jobs.command()
def resume(context: typer.Context, job_id: str) -> None:
    """Let a paused job go on."""
    here = session(context)
    here.output.show(here.client.jobs.resume(job_id), "job_id", "status")


@jobs.command()
def adjust(
    context: typer.Context,
    job_id: str,
    learning_rate: Annotated[float, typer.Option(help="Of what trains, from now on")],
    agent: Annotated[str | None, typer.Option(help="The name of the agent, where several train")] = None,
) -> None:
    """Change the learning rate of a job that trains."""
    here = session(context)
    here.output.show(here.client.jobs.adjust(job_id, learning_rate=learning_rate, agent_name=agent))


@jobs.command()
def retry(
    context: typer.Context,
    job_id: str,
    set_: Annotated[list[str] | None, typer.Option("--set", help="agent.option=value, to be done otherwise")] = None,
) -> None:
    """Make a new job that goes on from where one ended."""
    here = session(context)
    accepted = here.client.jobs.retry(job_id, configs=options(set_ or []))
    here.output.show(accepted, "job_id", "run_id", "status")


@jobs.command()
def wait(context: typer.Context, job_id: str, timeout: Annotated[float | None, typer.Option(min=0)] = None) -> None:
    """Wait until a job has completed."""
    here = session(context)
    here.output.show(here.client.jobs.wait(job_id, timeout=timeout), "job_id", "status", "model_id")


def logs(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(help="The id of a run, or of its job")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="To its end, with a live plot of the loss")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Lines, from the first; all if not given")] = None,
) -> None:
    """Show a run's log."""
    here = session(context)
    run_id = run_id.removeprefix("job_")
    if follow:
        show_logs(here.client.logs.stream(run_id), here.output)
        return
    show_logs(here.client.logs.history(run_id, limit=limit), here.output)
