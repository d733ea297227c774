"""An orchestrator in a process of its own, to be killed."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from orchestrator.settings import Settings


@asynccontextmanager
async def doomed_orchestrator(settings: Settings) -> AsyncIterator[Process]:
    """It dies by SIGKILL at the end of the block, if it has not before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orchestrator.main", env=_environment(settings), stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as a process of its own is given them."""

    def text(value: Any) -> str:
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

    told = {f"PLATFORM_{name.upper()}": text(value) for name, value in settings if value is not None}
    return {**os.environ, **told, "PLATFORM_ADMIN_PORT": "0"}
