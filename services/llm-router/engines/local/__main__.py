"""`python -m engines.local`: starts the local engine. `--help` lists its settings."""

from pydantic_settings import CliApp

from engines.local.settings import LocalSettings
from engines.server import run


def main() -> None:
    settings = CliApp.run(LocalSettings)
    # Imported late: it takes seconds, which a question for `--help` or a wrong setting should not.
    from engines.local.app import build  # noqa: PLC0415

    run("engine-local", lambda: build(settings), settings.host, settings.port, log_level=settings.log_level)


if __name__ == "__main__":
    main()
