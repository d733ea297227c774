"""The command, its options, and what becomes of errors."""

import sys
from typing import Annotated

import typer

import llm_platform
from llm_platform.cli import administration, asking, data, pipelines, trained
from llm_platform.cli.exits import EPILOG, Exit, meaning
from llm_platform.cli.session import Session
from llm_platform.errors import PlatformError, Unauthenticated

app = typer.Typer(
    name="llm-platform",
    help="The LLM Platform at the prompt.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (administration, data, pipelines, trained, asking):
    family.register(app)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"llm-platform {llm_platform.__version__}\n")
        raise typer.Exit


@app.callback()
def before(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(help="The platform's address, else LLM_PLATFORM_URL, else the login's")
    ] = None,
    key: Annotated[str | None, typer.Option(help="An API key, else LLM_PLATFORM_API_KEY, else the login's")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for scripts")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Tell this client's version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = Session(url, key, as_json)


def run(arguments: list[str] | None = None) -> int:
    """Runs the command; its exit code."""
    try:
        app(_json_first(sys.argv[1:] if arguments is None else arguments), prog_name="llm-platform")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE
    except KeyboardInterrupt:
        sys.stderr.write("\n" if sys.stderr.isatty() else "")
        return Exit.INTERRUPTED
    except Unauthenticated as error:
        return _tell(f"{error}\n`llm-platform login` checks a key and keeps it.", meaning(error))
    except PlatformError as error:
        return _tell(str(error), meaning(error))
    except (OSError, ValueError) as error:
        return _tell(str(error), Exit.FAILED)
    return Exit.DONE


def _json_first(arguments: list[str]) -> list[str]:
    """`--json` may stand anywhere before a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own = [word for word in arguments[:end] if word != "--json"]
    return [*(["--json"] if len(own) < end else []), *own, *arguments[end:]]


def _tell(message: str, code: Exit) -> Exit:
    sys.stderr.write(f"Error: {message}\n")
    return code
