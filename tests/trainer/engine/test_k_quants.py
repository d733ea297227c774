"""K-quants: what the `gguf` package reads of them is what was written, as close as so many bits can be."""

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from gguf.quants import quantize as plain

from trainer.engine.gguf.k_quants import quantize
from trainer.engine.gguf.types import kept_as

Q4_1, Q5_1, Q8_0 = GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q5_1, GGMLQuantizationType.Q8_0
Q4_K, Q5_K, Q6_K = GGMLQuantizationType.Q4_K, GGMLQuantizationType.Q5_K, GGMLQuantizationType.Q6_K


def _error(data: np.ndarray, read: np.ndarray) -> float:
    """Of the root mean square, a share of the data's."""
    return float(np.sqrt(np.square(read - data).mean() / np.square(data).mean()))


@pytest.mark.parametrize(("type_", "coarser"), [(Q4_K, Q4_1), (Q5_K, Q5_1), (Q6_K, Q5_K)])
@pytest.mark.parametrize("shape", ["normal", "heavy tails", "one side"])
def test_they_are_closer_than_types_of_as_many_bits_or_fewer(
    type_: GGMLQuantizationType, coarser: GGMLQuantizationType, shape: str
) -> None:
    """Q4_1 has 5 bits for each number, Q4_K 4.5: the search for scales has to pay."""
    random = np.random.default_rng(7)
    data = random.standard_t(4, (40, 512)) if shape == "heavy tails" else random.standard_normal((40, 512))
    data = np.asarray(abs(data) if shape == "one side" else data, dtype=np.float32) * np.float32(0.02)
    read = dequantize(quantize(data, type_), type_)
    assert _error(data, read) < _error(data, dequantize(quantize(data, coarser), coarser))


@pytest.mark.parametrize(("type_", "groups", "levels"), [(Q4_K, 8, (0, 15)), (Q5_K, 8, (0, 31)), (Q6_K, 16, (-32, 31))])
def test_every_number_stands_in_its_place(type_: GGMLQuantizationType, groups: int, levels: tuple[int, int]) -> None:
    """Numbers that the type can hold come back as they were, in 300 blocks of all levels and of many scales."""
    random = np.random.default_rng(3)
    low, high = levels
    scales = random.integers(1, 64, (300, groups, 1))
    numbers = random.integers(low, high + 1, (300, groups, 256 // groups))
    scales[:, 0], numbers[..., 0], numbers[..., 1] = 63, low, high
    data = (scales * numbers / 1024).reshape(300, 256).astype(np.float32)
    read = dequantize(quantize(data, type_), type_)
    step = np.repeat(scales, 256 // groups, axis=2).reshape(300, 256) / 1024
    assert (np.abs(read - data) / step).max() < 0.9, "each is nearest to its own level, or nearly so"
    assert _error(data, read) < 0.01


@pytest.mark.parametrize("type_", [Q4_K, Q5_K, Q6_K])
def test_blocks_without_a_range_are_kept(type_: GGMLQuantizationType) -> None:
    data = np.zeros((4, 256), dtype=np.float32)
    data[1], data[2], data[3, 5] = 0.5, -0.5, 1e-20
    np.testing.assert_allclose(dequantize(quantize(data, type_), type_), data, atol=1e-3)


def test_other_types_are_the_packages() -> None:
    data = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    assert (quantize(data, Q8_0) == plain(data, Q8_0)).all()


def test_mixed_types_keep_delicate_matrices_finer() -> None:
    """As `llama-quantize` does: of 32 layers the first four, the last four, and each third between."""
    name = "model.layers.{}.mlp.down_proj.weight"
    kept = [kept_as(name.format(layer), (512, 1024), "Q4_K_M", layers=32, tied=False) for layer in range(32)]
    assert [layer for layer, type_ in enumerate(kept) if type_ == Q6_K] == [
        *(0, 1, 2, 3),
        *(6, 9, 12, 15, 18, 21, 24, 27),
        *(28, 29, 30, 31),
    ]
    assert set(kept) == {Q4_K, Q6_K}
    up = kept_as("model.layers.0.mlp.up_proj.weight", (1024, 512), "Q5_K_M", layers=32, tied=False)
    assert up == Q5_K
