"""Passwords as argon2id hashes (RFC 9106, second recommended option), made and checked beside the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_AT_ONCE = 2
"""Each takes 64 MiB and tens of milliseconds of a core."""


class Passwords:
    """Hashes and checks passwords, a few at once; others wait in line."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        # What the passwords of those who do not exist are compared to. Made now: the first of them waits no longer.
        self._nobody_s = self._hasher.hash("nobody")
        # Threads of its own: a client that gives up frees no slot while its hash is still being made.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether `password` is the one kept. Without one to compare to it takes the same time to say no."""
        loop = asyncio.get_running_loop()
        fits = await loop.run_in_executor(self._threads, _verify, self._hasher, kept or self._nobody_s, password)
        return fits and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made with parameters that are not today's."""
        return self._hasher.check_needs_rehash(kept)


def _verify(hasher: PasswordHasher, kept: str, password: str) -> bool:
    try:
        return hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
