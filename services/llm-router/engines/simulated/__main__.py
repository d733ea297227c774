"""`python -m engines.simulated`: starts one simulated engine. `--help` lists its settings."""

from pydantic_settings import CliApp

from engines.server import run
from engines.simulated.app import build
from engines.simulated.settings import SimulatedSettings


def main() -> None:
    settings = CliApp.run(SimulatedSettings)
    run(settings.model, lambda: build(settings), settings.host, settings.port, log_level=settings.log_level)


if __name__ == "__main__":
    main()
