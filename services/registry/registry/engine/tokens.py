"""Counts the tokens of texts with a model's own tokenizer, which is a file of rules: nothing of it is run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from contracts.pipeline import invalid_dataset
from contracts.registry import TokenLengths

_AT_ONCE = 1000


def count(texts: Sequence[Any], tokenizer_json: str) -> TokenLengths:
    """Of each value that is text. Raises `Refused(DATASET_INVALID)` when none is."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    wanted = [text for text in texts if isinstance(text, str) and text]
    if not wanted:
        raise invalid_dataset("The column holds no text", field="column")
    chunks = (wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE))
    lengths = np.array([len(found.ids) for chunk in chunks for found in _encoded(tokenizer, chunk)])
    p50, p90, p99 = (int(value) for value in np.percentile(lengths, (50, 90, 99), method="lower"))
    return TokenLengths(
        tokens=int(lengths.sum()),
        mean=round(float(lengths.mean()), 2),
        p50=p50,
        p90=p90,
        p99=p99,
        longest=int(lengths.max()),
    )


def _encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> Sequence[Encoding]:
    found: Sequence[Encoding] = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return found
