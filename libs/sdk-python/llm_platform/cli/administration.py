"""Who asks, who may, and what it costs: `login`, `logout`, `whoami`, `keys`, `usage`."""

import sys
from datetime import datetime
from getpass import getpass
from typing import Annotated, Literal

import typer

from llm_platform import settings
from llm_platform.cli.session import session
from llm_platform.client import Client
from llm_platform.schemas.requests import NewApiKey

keys = typer.Typer(help="API keys, for administrators.", no_args_is_help=True)

Grouping = Literal["day", "model", "key", "day,model", "day,key", "model,key", "day,model,key"]


def register(app: typer.Typer) -> None:
    app.command()(login)
    app.command()(logout)
    app.command()(whoami)
    app.command()(usage)
    app.add_typer(keys, name="keys")


def login(
    context: typer.Context,
    url: Annotated[str | None, typer.Argument(help="The platform's address")] = None,
    key: Annotated[str | None, typer.Option(help="An API key; asked for, or read from a pipe, if not given")] = None,
) -> None:
    """Check a key and keep it, in a file for your eyes alone."""
    here = session(context)
    place = url or settings.find(here.url, None).url
    secret = key or here.key or _asked()
    with Client(place, secret) as client:
        me = client.platform.me()
    file = settings.save(settings.Login(settings.root(place), secret))
    here.output.note(f"Logged in to {settings.root(place)} as {me.name}, {me.role}; the key is in {file}")
    if here.as_json:
        here.output.write(me.model_dump(mode="json"))


def _asked() -> str:
    """The key, typed unseen or from a pipe. Raises `typer.BadParameter` for none."""
    try:
        typed = getpass("API key: ") if sys.stdin.isatty() else sys.stdin.readline()
    except EOFError:
        typed = ""
    if not typed.strip():
        raise typer.BadParameter("no key was given")
    return typed.strip()


def logout(context: typer.Context) -> None:
    """Forget the key that was kept."""
    session(context).output.note("Forgotten" if settings.forget() else "There was no login")


def whoami(context: typer.Context) -> None:
    """Tell who the key belongs to."""
    here = session(context)
    here.output.show(here.client.platform.me())


@keys.command("list")
def list_keys(context: typer.Context, revoked: Annotated[bool, typer.Option(help="Revoked ones too")] = False) -> None:
    """List keys, without their secrets."""
    here = session(context)
    columns = ("key_id", "name", "role", "requests_per_minute", "budget", "expires_at", "created_at")
    here.output.table(here.client.keys.list(include_revoked=revoked), *columns)


@keys.command("create")
def create_key(
    context: typer.Context,
    name: str,
    role: Annotated[Literal["viewer", "member", "admin"], typer.Option()] = "member",
    models: Annotated[
        list[str] | None, typer.Option("--model", help="A model that it may ask; all, if none is given")
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option()] = None,
    usd: Annotated[float | None, typer.Option(help="Dollars that it may spend in each period")] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens that it may use in each period")] = None,
    period: Annotated[Literal["day", "month", "total"], typer.Option()] = "month",
) -> None:
    """Make a key. It is told this once."""
    here = session(context)
    fields: NewApiKey = {"name": name, "role": role}
    if models:
        fields["allowed_models"] = models
    if requests_per_minute is not None:
        fields["requests_per_minute"] = requests_per_minute
    if usd is not None or tokens is not None:
        fields["budget"] = {"usd": usd, "tokens": tokens, "period": period}
    here.output.show(here.client.keys.create(**fields), "key_id", "name", "role", "key")


@keys.command("revoke")
def revoke_key(context: typer.Context, key_id: str) -> None:
    """End a key."""
    here = session(context)
    here.output.show(here.client.keys.revoke(key_id), "key_id", "name", "role")


def usage(
    context: typer.Context,
    by: Annotated[Grouping, typer.Option(help="What to sum up by")] = "day,model",
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    model: Annotated[str | None, typer.Option()] = None,
    key: Annotated[str | None, typer.Option(help="The id of a key")] = None,
) -> None:
    """Sum up requests, tokens and cost."""
    here = session(context)
    rows = here.client.usage.rows(
        group_by=by, model=model, key=key, since=since and since.date(), until=until and until.date()
    )
    here.output.table(
        rows, *by.split(","), "requests", "errors", "prompt_tokens", "completion_tokens", "cost", "mean_duration"
    )
