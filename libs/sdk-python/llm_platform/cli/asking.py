"""Asking models: `chat`, `actions`, `workflow`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_platform.cli.session import Session, session
from llm_platform.errors import JobFailed, PlatformError
from llm_platform.schemas.requests import ChatMessage, ChatRequest

actions = typer.Typer(help="Prompts with a model, to be executed.", no_args_is_help=True)
workflow = typer.Typer(help="Prompts in a chain or a graph.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(chat)
    app.add_typer(actions, name="actions")
    app.add_typer(workflow, name="workflow")


def chat(
    context: typer.Context,
    message: Annotated[str | None, typer.Argument(help="What to say; `-` reads it from the standard input")] = None,
    model: Annotated[str, typer.Option("--model", "-m")] = "default",
    system: Annotated[str | None, typer.Option(help="How the model is to answer")] = None,
    temperature: Annotated[float | None, typer.Option()] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Talk to a model; without a MESSAGE, to and fro until an empty line. Ctrl-C ends an answer."""
    here = session(context)
    said: list[ChatMessage] = [] if system is None else [{"role": "system", "content": system}]
    request: ChatRequest = {"model": model, "messages": said, "temperature": temperature, "max_tokens": max_tokens}
    if message is not None or not sys.stdin.isatty():
        _say(here, request, sys.stdin.read() if message in ("-", None) else str(message))
        return
    while text := _heard():
        before = len(said)
        try:
            _say(here, request, text)
        except (KeyboardInterrupt, PlatformError) as error:
            # The talk goes on as if nothing had been said.
            del said[before:]
            here.output.note(f"\nError: {error}" if isinstance(error, PlatformError) else "")


def _heard() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def _say(here: Session, request: ChatRequest, text: str) -> None:
    """Says it, shows the answer as it comes, and remembers both."""
    request["messages"].append({"role": "user", "content": text})
    answer = ""
    for chunk in here.client.chat.stream(**request):
        for choice in chunk.choices:
            piece = choice.delta.content or ""
            answer += piece
            if not here.as_json:
                here.output.text(piece, end="")
    request["messages"].append({"role": "assistant", "content": answer})
    if here.as_json:
        here.output.write({"model": request["model"], "content": answer})
    else:
        here.output.text("")


@actions.command("list")
def list_actions(context: typer.Context) -> None:
    """List actions."""
    here = session(context)
    here.output.table(here.client.actions.list(), "id", "name", "input_field", "output_field", "model", "status")


@actions.command()
def show(context: typer.Context, action_id: int) -> None:
    """Show an action."""
    here = session(context)
    here.output.show(here.client.actions.get(action_id))


@actions.command("run")
def run_action(
    context: typer.Context,
    action_id: int,
    inputs: Annotated[list[str], typer.Argument(help="The prompt's variables, as name=value; name=@file reads a file")],
) -> None:
    """Execute an action."""
    here = session(context)
    run = here.client.actions.execute(action_id, _inputs(inputs))
    if here.as_json:
        here.output.write(run.model_dump(mode="json"))
    else:
        here.output.show(run.output_data)


@workflow.command("list")
def list_workflows(context: typer.Context) -> None:
    """List workflows."""
    here = session(context)
    found = here.client.workflows.list()
    rows = [
        {"id": w.id, "name": w.name, "payloads": [p.name for p in w.payloads], "updated_at": w.updated_at}
        for w in found
    ]
    here.output.table(rows, "id", "name", "payloads", "updated_at")


@workflow.command("run")
def run_workflow(
    context: typer.Context,
    workflow_id: int,
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Its inputs, as name=value; name=@file reads a file")
    ] = None,
    detach: Annotated[bool, typer.Option(help="Do not wait for its end")] = False,
) -> None:
    """Run a workflow, and show its responses as they come."""
    here = session(context)
    started = here.client.workflows.execute(workflow_id, _inputs(inputs or []))
    if detach:
        here.output.show(started, "run_id", "status")
        return
    for event in here.client.runs.follow(started.run_id):
        told = event.data.model_dump(mode="json", by_alias=True)
        if here.as_json:
            here.output.write({"id": event.id, "type": event.type, "data": told})
        elif event.type == "payload_completed":
            here.output.notes.rule(f"{told['payloadName']}", style="dim")
            here.output.text(told["content"])
        elif event.type == "approval_requested":
            here.output.note(
                f"{told['payloadName']} waits for a person: `llm-platform workflow approve {started.run_id}`, or reject"
            )
    run = here.client.runs.get(started.run_id)
    if run.status != "completed":
        raise JobFailed(f"Run {run.id} is {run.status}{f': {run.error}' if run.error else ''}")


@workflow.command()
def approve(context: typer.Context, run_id: int) -> None:
    """Let a payload go on that waits for a person."""
    here = session(context)
    here.output.show(here.client.runs.approve(run_id), "id", "workflow_id", "status")


@workflow.command()
def reject(
    context: typer.Context, run_id: int, reason: Annotated[str, typer.Option(help="Told with the run's error")] = ""
) -> None:
    """Reject a payload that waits for a person: its run fails."""
    here = session(context)
    here.output.show(here.client.runs.reject(run_id, reason=reason), "id", "workflow_id", "status", "error")


def _inputs(pairs: list[str]) -> dict[str, Any]:
    """Raises `typer.BadParameter`."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{pair!r} is not name=value")
        found[name] = _content(Path(value[1:])) if value.startswith("@") else _read(value)
    return found


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from error


def _read(value: str) -> Any:
    """Lists and objects are JSON; all else is text."""
    if value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
