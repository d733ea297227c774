"""What reading an uploaded file through finds out."""

from typing import Any

from contracts.base import Message
from contracts.pipeline import DatasetFormat
from contracts.registry import Compression, DatasetAnalysis
from registry.domain.pages import Mark


class Inspection(Message):
    """A data set's format, its analysis, its first rows as a preview shows them, and where others begin."""

    format: DatasetFormat
    compression: Compression | None
    analysis: DatasetAnalysis
    samples: list[dict[str, Any]]
    marks: list[Mark]
