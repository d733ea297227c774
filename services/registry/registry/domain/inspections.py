"""What reading an uploaded file through finds out."""

from typing import Any

from contracts.base import Message
from contracts.pipeline import DatasetFormat
from contracts.registry import DatasetAnalysis


class Inspection(Message):
    """A data set's format, its analysis, and its first rows as a preview shows them."""

    format: DatasetFormat
    analysis: DatasetAnalysis
    samples: list[dict[str, Any]]
