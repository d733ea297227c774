"""Passwords as argon2id hashes (RFC 9106, second recommended option), made and checked beside the event loop."""

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_AT_ONCE = 2
"""Each takes 64 MiB and tens of milliseconds of a core."""


class Passwords:
    """Hashes and checks passwords, a few at once; others wait in line."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether `password` is the one kept. Without one to compare to it takes the same time to say no."""
        async with self._slots:
            fits = await asyncio.to_thread(_verify, self._hasher, kept or _nobody_s(), password)
        return fits and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made with parameters that are not today's."""
        return self._hasher.check_needs_rehash(kept)


def _verify(hasher: PasswordHasher, kept: str, password: str) -> bool:
    try:
        return hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody_s() -> str:
    """What the passwords of those who do not exist are compared to."""
    return PasswordHasher().hash("nobody")
