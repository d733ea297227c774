"""Small files to inspect."""

import io
from typing import Any

import polars as pl
import pytest

from common.datafiles.files import DataFile
from common.datafiles.limits import Limits
from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetFormat
from registry.domain.inspections import Inspection
from registry.engine.inspecting import inspect_file

LIMITS = Limits()


def inspect(data: bytes | str, format: DatasetFormat | None = None, limits: Limits = LIMITS) -> Inspection:  # noqa: A002
    content = data.encode() if isinstance(data, str) else data
    return inspect_file(DataFile(io.BytesIO(content), f"file.{format}" if format else "file", limits), format)


def refusal(data: bytes | str, format: DatasetFormat | None = None, limits: Limits = LIMITS) -> Refused:  # noqa: A002
    with pytest.raises(Refused) as refused:
        inspect(data, format, limits)
    assert refused.value.code is RefusalCode.DATASET_INVALID
    assert refused.value.metadata["errors"][0]["message"] == refused.value.message
    return refused.value


def parquet(frame: pl.DataFrame, **options: Any) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()
