"""Compressed files are expanded within bounds, and one that was cut off is never taken for whole."""

import gzip
import io
import random
from collections.abc import Callable

import pytest
import zstandard

from common.compression import Compression, Damaged, Endless, compression_of, expanded

PACK: dict[Compression, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor(write_content_size=False).compress(data),
}
PLAIN = random.Random(0).randbytes(300_000) + b"text\n" * 400_000


@pytest.mark.parametrize("compression", PACK)
def test_what_was_packed_comes_out_again_also_of_several_members(compression: Compression) -> None:
    packed = PACK[compression](PLAIN) + PACK[compression](b"more")
    assert compression_of(packed) == compression
    assert b"".join(expanded(io.BytesIO(packed), compression, 10**8)) == PLAIN + b"more"


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("left", [5, 10_000, 300_000, -1, -4])
def test_a_file_that_was_cut_off_is_damaged(compression: Compression, left: int) -> None:
    packed = PACK[compression](PLAIN)[:left]
    with pytest.raises(Damaged):
        b"".join(expanded(io.BytesIO(packed), compression, 10**8))


@pytest.mark.parametrize("compression", PACK)
def test_a_file_that_expands_without_end_is_left_at_its_bound(compression: Compression) -> None:
    packed = PACK[compression](bytes(50_000_000))
    seen = 0
    with pytest.raises(Endless):
        for chunk in expanded(io.BytesIO(packed), compression, 5_000_000):
            seen += len(chunk)
    assert seen <= 5_000_000
