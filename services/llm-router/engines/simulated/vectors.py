"""Simulated embeddings: counts of words under a checksum. Texts that share words are close."""

import math
import zlib

DIMENSIONS = 64


def vector(text: str, dimensions: int) -> list[float]:
    """A vector of length 1 for `text`, the same one every time."""
    counts = [0.0] * dimensions
    for word in text.lower().split() or [""]:
        checksum = zlib.crc32(word.encode(errors="surrogatepass"))
        counts[(checksum >> 1) % dimensions] += 1.0 if checksum & 1 else -1.0
    length = math.hypot(*counts)
    if length == 0:  # words that cancel each other out
        return [1.0, *counts[1:]]
    return [count / length for count in counts]
