"""Near duplicates by MinHash and locality-sensitive hashing (Broder 1997; Leskovec et al., Mining of Massive Datasets).

Signatures of 128 hashes in 16 bands of 8 rows find the candidates; the exact Jaccard similarity of their word
shingles decides, so nothing is dropped by chance.
"""

import re
import zlib
from collections.abc import Sequence

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
    kept: dict[tuple[int, bytes], list[int]] = {}
    shingles: list[frozenset[int]] = [_shingles(text) for text in texts]
    repeated: list[bool] = []
    for index, mine in enumerate(shingles):
        bands = list(enumerate(_bands(mine)))
        candidates = {other for band in bands for other in kept.get(band, ())}
        duplicate = any(_similarity(mine, shingles[other]) >= threshold for other in candidates)
        repeated.append(duplicate)
        if not duplicate:
            for band in bands:
                bucket = kept.setdefault(band, [])
                # Boilerplate can fill one bucket; the other bands still find true duplicates.
                if len(bucket) < _MOST_CANDIDATES:
                    bucket.append(index)
    return repeated


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
