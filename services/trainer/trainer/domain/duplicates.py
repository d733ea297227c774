"""Near duplicates by MinHash and locality-sensitive hashing (Broder 1997; Leskovec et al., Mining of Massive Datasets).

Signatures of 128 hashes in 16 bands of 8 rows find the candidates; the exact Jaccard similarity of their word
shingles decides, so nothing is dropped by chance.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

_SHINGLE = 3
_BANDS = 16
_ROWS = 8
_MOST_CANDIDATES = 64
_PRIME = np.uint64((1 << 61) - 1)
_WORD = re.compile(r"\w+")

_GENERATOR = np.random.default_rng(20_240_229)
# Small enough that multiplier × 32-bit shingle + offset fits 64 bits.
_MULTIPLIERS = _GENERATOR.integers(1, 1 << 28, size=(_BANDS * _ROWS, 1), dtype=np.uint64)
_OFFSETS = _GENERATOR.integers(0, 1 << 60, size=(_BANDS * _ROWS, 1), dtype=np.uint64)


def near_duplicates(texts: Sequence[str], threshold: float = 0.85) -> list[bool]:
    """For each text, whether an earlier one that was kept shares at least `threshold` of their shingles."""
    index = _Index(threshold)
    return [index.holds(prints) or index.add(prints) for prints in map(_prints, texts)]


def contaminated(texts: Sequence[str], held_out: Sequence[str], threshold: float) -> list[bool]:
    """For each text, whether one of those held out shares at least `threshold` of their shingles."""
    index = _Index(threshold)
    for other in held_out:
        index.add(_prints(other))
    return [index.holds(_prints(text)) for text in texts]


@dataclass(frozen=True)
class _Prints:
    """A text as its shingles, and the bands of their signature."""

    shingles: frozenset[int]
    bands: tuple[tuple[int, bytes], ...]


class _Index:
    """Texts, found again by others that are near them."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._buckets: dict[tuple[int, bytes], list[frozenset[int]]] = {}

    def add(self, prints: _Prints) -> Literal[False]:
        """Always false: a text that is added was none that there is."""
        for band in prints.bands:
            bucket = self._buckets.setdefault(band, [])
            # Boilerplate can fill one bucket; the other bands still find true duplicates.
            if len(bucket) < _MOST_CANDIDATES:
                bucket.append(prints.shingles)
        return False

    def holds(self, prints: _Prints) -> bool:
        candidates = {other for band in prints.bands for other in self._buckets.get(band, ())}
        return any(_similarity(prints.shingles, other) >= self._threshold for other in candidates)


def _prints(text: str) -> _Prints:
    shingles = _shingles(text)
    return _Prints(shingles, tuple(enumerate(_bands(shingles))))


def _shingles(text: str) -> frozenset[int]:
    words = _WORD.findall(text.casefold()) or [text]
    windows = (" ".join(words[start : start + _SHINGLE]) for start in range(max(len(words) - _SHINGLE + 1, 1)))
    return frozenset(zlib.crc32(window.encode()) for window in windows)


def _bands(shingles: frozenset[int]) -> list[bytes]:
    hashes: npt.NDArray[np.uint64] = np.fromiter(shingles, dtype=np.uint64, count=len(shingles))
    signature = ((_MULTIPLIERS * hashes + _OFFSETS) % _PRIME).min(axis=1)
    return [band.tobytes() for band in signature.reshape(_BANDS, _ROWS)]


def _similarity(one: frozenset[int], other: frozenset[int]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
