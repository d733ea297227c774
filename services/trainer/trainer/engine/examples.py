"""Rows of prompt and completion as token ids: tokenised once, kept end to end in one array."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.base import RefusalCode, Refused

_AT_ONCE = 1000
"""Rows that are tokenised in one call: enough for the tokenizer to use all cores."""

Ids = Sequence[int] | npt.NDArray[np.int32]
Encoded = tuple[int, Ids]
"""How many tokens the prompt has, and the ids of prompt, completion and end of text."""


@dataclass(frozen=True)
class Row:
    """A training example in its template's form; the completion without the end-of-text token."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Examples:
    """Token ids of all rows, one after another.

    Row `i` is `tokens[starts[i]:starts[i + 1]]`; from its token number `answers[i]` on, what is predicted counts.
    """

    tokens: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int32]
    skipped: int
    """Rows that had no token to learn within the length."""

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def lengths(self) -> list[int]:
        lengths: list[int] = np.diff(self.starts).tolist()
        return lengths

    def row(self, index: int) -> npt.NDArray[np.int32]:
        return self.tokens[self.starts[index] : self.starts[index + 1]]


def read_rows(path: Path) -> Iterator[Row]:
    """Reads JSON Lines of prompt and completion; of preferences, the chosen answers.

    Raises `Refused(DATASET_INVALID)` at a line that is no row.
    """
    for number, row in _lines(path):
        answer = row.get("completion", row.get("chosen"))
        yield Row(_text(row.get("prompt"), path, number), _text(answer, path, number))


def read_pairs(path: Path) -> Iterator[tuple[Row, Row]]:
    """Reads JSON Lines of prompt, chosen and rejected: the two answers to each prompt, the chosen one first.

    Raises `Refused(DATASET_INVALID)` at a line that is no such row.
    """
    for number, row in _lines(path):
        prompt = _text(row.get("prompt"), path, number)
        yield Row(prompt, _text(row.get("chosen"), path, number)), Row(prompt, _text(row.get("rejected"), path, number))


def tokenise(
    rows: Iterator[Row], tokenizer: Any, max_length: int, *, whole: bool = False, together: int = 1, kind: str = "rows"
) -> Examples:
    """Tokenises rows, each ended by the tokenizer's end-of-text token, and fits them as `fit` does."""
    return fit(encoded(rows, tokenizer), max_length, whole=whole, together=together, kind=kind)


def encoded(rows: Iterator[Row], tokenizer: Any) -> Iterator[Encoded]:
    while chunk := list(islice(rows, _AT_ONCE)):
        yield from encode(chunk, tokenizer)


def fit(
    rows: Iterator[Encoded], max_length: int, *, whole: bool = False, together: int = 1, kind: str = "rows"
) -> Examples:
    """Cuts tokenised rows to `max_length` tokens.

    The answer counts, or with `whole` the prompt too. The end of a completion that is cut is not marked as one, and a
    row whose prompt leaves no room for an answer is skipped, with the others of the `together` rows that it belongs to.
    Raises `Refused(DATASET_INVALID)`, which says what `kind` of rows, when none is left.
    """
    tokens: list[npt.NDArray[np.int32]] = []
    answers: list[int] = []
    skipped = 0
    while group := list(islice(rows, together)):
        # Nothing comes before the first token to predict it from.
        firsts = [1 if whole else max(1, prompt) for prompt, _ in group]
        if all(first < min(len(ids), max_length) for first, (_, ids) in zip(firsts, group, strict=True)):
            tokens.extend(np.asarray(ids[:max_length], dtype=np.int32) for _, ids in group)
            answers.extend(firsts)
        else:
            skipped += 1
    if not answers:
        raise Refused(
            RefusalCode.DATASET_INVALID,
            f"None of the {skipped} {kind} has an answer within {max_length} tokens, so there is nothing to learn or to"
            " measure. Check the template and its mapping, or raise max_seq_length",
        )
    starts = np.concatenate([[0], np.cumsum([len(ids) for ids in tokens])])
    return Examples(np.concatenate(tokens), starts, np.array(answers, dtype=np.int32), skipped)


def encode_prompts(prompts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Prompts as the serving engine tokenises them: their special tokens are in the text already."""
    return list(tokenizer(list(prompts), add_special_tokens=False)["input_ids"]) if prompts else []


def encode(rows: Sequence[Row], tokenizer: Any) -> Iterator[tuple[int, list[int]]]:
    """Each row's length of prompt and its token ids.

    When the model is served, the prompt is tokenised on its own, so its tokens must not depend on the completion. The
    completion's may depend on the prompt: SentencePiece would otherwise put a space before it.
    """
    prompts = encode_prompts([row.prompt for row in rows], tokenizer)
    joined = encode_prompts([row.prompt + row.completion for row in rows], tokenizer)
    for row, prompt, both in zip(rows, prompts, joined, strict=True):
        ids = both if both[: len(prompt)] == prompt else prompt + encode_prompts([row.completion], tokenizer)[0]
        yield len(prompt), _ended(ids, tokenizer.eos_token_id)


def _ended(ids: list[int], end: int) -> list[int]:
    return ids if ids and ids[-1] == end else [*ids, end]


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise _broken(path, number) from error
            if not isinstance(row, dict):
                raise _broken(path, number)
            yield number, row


def _text(value: Any, path: Path, number: int) -> str:
    if not isinstance(value, str):
        raise _broken(path, number)
    return value


def _broken(path: Path, number: int) -> Refused:
    return Refused(
        RefusalCode.DATASET_INVALID,
        f"Line {number} of {path.name} is not a row of prompt and completion, or of prompt, chosen and rejected",
        {"line": number},
    )
