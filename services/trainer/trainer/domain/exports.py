"""Which formats a trained model can be written in."""

from collections.abc import Sequence

from contracts.base import RefusalCode, Refused
from contracts.pipeline import ExportFormat, TrainingMethod


def check_formats(method: TrainingMethod, formats: Sequence[ExportFormat]) -> None:
    """Raises `Refused(CONFIG_INVALID)` for a format that a model trained by `method` has not."""
    if method == "full" and "adapter" in formats:
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            "A model trained by method 'full' has no adapter; ask for the export format 'merged'",
            {"errors": [{"field": "formats", "message": "'adapter' needs method 'lora' or 'qlora'"}]},
        )
