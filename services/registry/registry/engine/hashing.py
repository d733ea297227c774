"""A 64-bit hash of each row of JSON, the same whether it was read as an object or as a part of a table.

A row's hash is the sum of its values' hashes, each by its name: so the order of names does not matter, and many rows
are hashed at once, column by column.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from common.datafiles.parts import canonical

ABSENT = object()
"""In place of a value whose name a row does not have, which is something else than null."""
_WHOLE = range(-(2**63), 2**63)
_DTYPES: Mapping[type, type[pl.DataType]] = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
Hashes = npt.NDArray[np.uint64]


def row_hash(columns: int) -> pl.Expr:
    """Of a row of texts in columns named `0`, `1`, …."""
    return pl.sum_horizontal(*(pl.col(str(number)).hash(number) for number in range(columns)))


def row_hashes(columns: Mapping[str, pl.Series | Sequence[Any]]) -> pl.Series:
    """Of rows as columns, which have the values themselves, or those of a table."""
    total: Hashes | None = None
    for name, column in columns.items():
        hashes = _of_series(name, column) if isinstance(column, pl.Series) else _of_values(name, column)
        total = hashes if total is None else total + hashes
    return pl.Series(total if total is not None else [], dtype=pl.UInt64)


def _of_values(name: str, values: Sequence[Any]) -> Hashes:
    """Those of each type together."""
    kinds = np.array([_kind(value) for value in values], dtype=object)
    hashes = np.zeros(len(values), dtype=np.uint64)
    for kind in set(kinds) - {ABSENT}:
        places = np.flatnonzero(kinds == kind)
        some = [values[place] for place in places.tolist()] if places.size < len(values) else values
        if kind is None:
            column = pl.Series([canonical(value) for value in some], dtype=pl.Binary)
        else:
            column = pl.Series(some, dtype=kind)
        hashes[places] = _of_series(name, column)
    return hashes


def _kind(value: Any) -> Any:
    """The type of the column that could hold it; None for what is hashed as its JSON."""
    if value is ABSENT:
        return ABSENT
    if value is None:
        return pl.Null
    if type(value) is int and value not in _WHOLE:
        return None
    return _DTYPES.get(type(value))


def _of_series(name: str, column: pl.Series) -> Hashes:
    seed = int.from_bytes(hashlib.blake2b(f"{name}\0{column.dtype}".encode(), digest_size=8).digest())
    nothing = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
    if column.dtype == pl.Null:
        return np.full(len(column), nothing, dtype=np.uint64)
    hashes: Hashes = column.hash(seed).to_numpy().astype(np.uint64)
    if column.null_count():
        hashes = np.where(column.is_null().to_numpy(), np.uint64(nothing), hashes)
    return hashes
