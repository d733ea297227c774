"""Trained models: `models`, `download`, `deploy`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from llm_platform.cli.session import session

models = typer.Typer(help="Trained models.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(models, name="models")
    app.command()(download)
    app.command()(deploy)
    app.command()(undeploy)


@models.command("list")
def list_models(
    context: typer.Context,
    base_model: Annotated[str | None, typer.Option()] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """List trained models, newest first."""
    here = session(context)
    columns = ("model_id", "model_name", "base_model", "exports", "metrics", "created_at")
    here.output.table(here.client.models.list(base_model=base_model, limit=limit), *columns)


@models.command()
def show(context: typer.Context, model: str) -> None:
    """Show a model, by its id or name."""
    here = session(context)
    here.output.show(here.client.models.get(model))


@models.command()
def card(context: typer.Context, model: str) -> None:
    """Show a model's card."""
    here = session(context)
    text = here.client.models.card(model)
    if here.as_json:
        here.output.write({"model": model, "card": text})
    else:
        here.output.text(text)


@models.command()
def delete(
    context: typer.Context,
    model: str,
    force: Annotated[
        bool, typer.Option("--force", help="Even if it is deployed, has an alias, or a job compares it")
    ] = False,
) -> None:
    """Delete a model with all that it holds."""
    here = session(context)
    here.output.show(here.client.models.delete(model, force=force))


def download(
    context: typer.Context,
    model: str,
    path: Annotated[Path, typer.Argument(help="A folder, or a file that ends in .tar or .gguf")],
    format: Annotated[Literal["adapter", "merged", "gguf"], typer.Option()] = "adapter",  # noqa: A002
    quantization: Annotated[str | None, typer.Option(help="Which GGUF file, as Q8_0; else all of them")] = None,
) -> None:
    """Download a model."""
    here = session(context)
    try:
        with here.output.bar(f"Downloading {model}") as progress:
            files = here.client.models.download(
                model, path, format=format, quantization=quantization, progress=progress
            )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    here.output.table([{"file": str(file), "bytes": file.stat().st_size} for file in files], "file", "bytes")


def deploy(
    context: typer.Context,
    model: str,
    alias: Annotated[str | None, typer.Option(help="Let it be asked as name@alias too")] = None,
) -> None:
    """Have a model loaded, to be asked under its name."""
    here = session(context)
    deployment = here.client.models.deploy(model)
    if alias is not None:
        here.client.models.set_alias(model, alias)
        # It is deployed already: this tells the names that it has now.
        deployment = here.client.models.deploy(model)
    here.output.show(deployment)


def undeploy(
    context: typer.Context,
    model: str,
    force: Annotated[bool, typer.Option("--force", help="Even if it has aliases, and remove them")] = False,
) -> None:
    """Take a model away from those that can be asked."""
    here = session(context)
    here.output.show(here.client.models.undeploy(model, force=force))
