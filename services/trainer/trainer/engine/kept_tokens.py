"""Token ids of prepared rows, kept beside them: rows are tokenised when they are prepared, and not again by each
process, on each attempt, of each training on them.

`tokens/train.safetensors` belongs to `train.jsonl`: ids end to end, where each answer's begin, and how many are its
prompt's. Nothing is cut, so that whoever reads it chooses the length.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from trainer.engine.examples import Encoded

FOLDER = "tokens"
_ABOUT = "about"
"""The key of what the file says about itself."""


def place_of_tokens(rows: Path) -> Path:
    return rows.parent / FOLDER / f"{rows.stem}.safetensors"


def keep_tokens(rows: Path, encoded: Sequence[Encoded], tokenizer: Any, *, answers: int) -> None:
    """Writes the ids of the file `rows`, each of which has so many `answers`: one, or the chosen and the rejected."""
    place = place_of_tokens(rows)
    place.parent.mkdir(exist_ok=True)
    arrays = {
        "tokens": np.concatenate([np.asarray(ids, dtype=np.int32) for _, ids in encoded] or [np.empty(0, np.int32)]),
        "starts": np.concatenate([[0], np.cumsum([len(ids) for _, ids in encoded], dtype=np.int64)]).astype(np.int64),
        "prompts": np.array([prompt for prompt, _ in encoded], dtype=np.int32),
    }
    about = {"tokenizer": _fingerprint(tokenizer), "answers": answers}
    # One key: safetensors writes several in any order, and equal content has to be equal bytes to be known again.
    save_file(arrays, place, metadata={_ABOUT: json.dumps(about, sort_keys=True)})


def kept_tokens(rows: Path, tokenizer: Any, *, answers: int) -> Iterator[Encoded] | None:
    """The ids of the file `rows`, of so many of each row's answers; None where they are not kept, or another
    tokenizer's."""
    try:
        with safe_open(place_of_tokens(rows), framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get(_ABOUT, "{}"))
            kept = about.get("answers", 0)
            if about.get("tokenizer") != _fingerprint(tokenizer) or kept < answers:
                return None
            tokens, starts, prompts = (file.get_tensor(name) for name in ("tokens", "starts", "prompts"))
    except (OSError, SafetensorError):
        return None
    wanted = (index for index in range(len(prompts)) if index % kept < answers)
    return ((int(prompts[index]), tokens[starts[index] : starts[index + 1]]) for index in wanted)


def _fingerprint(tokenizer: Any) -> str:
    """Of all that decides which ids a text becomes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = repr(sorted(tokenizer.get_vocab().items())) if backend is None else backend.to_str()
    return hashlib.sha256(f"{tokenizer.eos_token_id} {rules}".encode()).hexdigest()
