"""Lets the runs of one owner in one after another, and those of different owners side by side."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Turnstile:
    """What enters at the same moment sees the same end of its owner's line, and would stand in one place of it: then a
    crowd of one owner's steps would be served for each of another's (`line_start` of the first migration). Besides, a
    burst leaves the connections to the others."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def through(self, owner: str) -> AsyncGenerator[None, None]:
        """Waits for those of the owner that came before. Leave it once the transaction has committed."""
        async with self._locks.setdefault(owner, asyncio.Lock()):
            yield
