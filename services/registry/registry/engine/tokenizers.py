"""Where the tokenizers of base models lie."""

import os
from pathlib import Path

from contracts.base import RefusalCode, Refused

_MOST_BYTES = 64 * 1024 * 1024


def tokenizer_of(models_dir: Path, base_model: str) -> Path:
    """The tokenizer's file of a model in the models directory. Raises `Refused(CONFIG_INVALID)`."""
    root = Path(os.path.abspath(models_dir))  # noqa: PTH100 - a link that the operator set may lead out, `..` may not
    file = Path(os.path.abspath(root / base_model / "tokenizer.json"))  # noqa: PTH100
    if root in file.parents and "\0" not in base_model and file.is_file() and file.stat().st_size <= _MOST_BYTES:
        return file
    message = f"The base model {base_model!r} has no tokenizer.json in the models directory"
    raise Refused(RefusalCode.CONFIG_INVALID, message, {"errors": [{"field": "base_model", "message": message}]})
