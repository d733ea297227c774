"""A small plot of dots for the terminal: eight to a character, in Braille."""

from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""By row and column within a character."""
_BLANK = 0x2800


def plot(points: Sequence[tuple[float, float]], width: int, height: int) -> list[str]:
    """The points `(x, y)` as `height` lines of `width` characters, the y axis's ends written before them."""
    if not points:
        return []
    (left, right), (bottom, top) = ((min(values), max(values)) for values in zip(*points, strict=True))
    labels = (f"{top:.3g}", f"{bottom:.3g}")
    margin = max(map(len, labels)) + 1
    columns, rows = max(1, width - margin), max(1, height)
    cells = [[_BLANK] * columns for _ in range(rows)]
    for x, y in points:
        across = _place(x, left, right, 2 * columns)
        down = 4 * rows - 1 - _place(y, bottom, top, 4 * rows)
        cells[down // 4][across // 2] |= _DOTS[down % 4][across % 2]
    lines = ["".join(map(chr, row)) for row in cells]
    heads = [labels[0], *[""] * (rows - 2), labels[1]] if rows > 1 else [labels[0]]
    return [f"{head:>{margin - 1}} {line}" for head, line in zip(heads, lines, strict=True)]


def _place(value: float, low: float, high: float, count: int) -> int:
    """Which of `count` places between low and high the value falls on."""
    share = (value - low) / (high - low) if high > low else 0.5
    return min(count - 1, int(share * count))
