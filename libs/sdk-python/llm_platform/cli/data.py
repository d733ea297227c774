"""Data sets: `upload`, `datasets`."""

from pathlib import Path
from typing import Annotated

import typer

from llm_platform.cli.session import session

datasets = typer.Typer(help="Data sets.", no_args_is_help=True)
_COLUMNS = ("dataset_id", "filename", "format", "rows", "size_bytes", "created_at")


def register(app: typer.Typer) -> None:
    app.command()(upload)
    app.add_typer(datasets, name="datasets")


def upload(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    format: Annotated[str | None, typer.Option(help="csv, tsv, json, jsonl, parquet or txt")] = None,  # noqa: A002
) -> None:
    """Upload a data set."""
    here = session(context)
    with here.output.bar(f"Uploading {file.name}") as progress:
        dataset = here.client.datasets.upload(file, format=format, progress=progress)
    here.output.show(dataset, "dataset_id", "filename", "format", "rows", "columns", "size_bytes", "sha256")


@datasets.command("list")
def list_datasets(context: typer.Context, limit: Annotated[int, typer.Option(min=1)] = 50) -> None:
    """List data sets, newest first."""
    here = session(context)
    here.output.table(here.client.datasets.list(limit=limit), *_COLUMNS)


@datasets.command()
def show(context: typer.Context, dataset_id: str) -> None:
    """Show a data set."""
    here = session(context)
    here.output.show(here.client.datasets.get(dataset_id))


@datasets.command()
def delete(
    context: typer.Context,
    dataset_id: str,
    force: Annotated[bool, typer.Option("--force", help="Even if a running job or a model needs it")] = False,
) -> None:
    """Delete a data set."""
    here = session(context)
    here.output.show(here.client.datasets.delete(dataset_id, force=force))


@datasets.command()
def preview(context: typer.Context, dataset_id: str, limit: Annotated[int, typer.Option(min=1, max=100)] = 10) -> None:
    """Show a data set's first rows."""
    here = session(context)
    found = here.client.datasets.preview(dataset_id, limit=limit)
    columns = list(dict.fromkeys(name for row in found.samples for name in row))
    here.output.table(found.samples, *columns)
