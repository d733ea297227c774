"""A tokenizer as GGUF holds it: its tokens with their types, and what llama.cpp needs to split text as it does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gguf import GGUFWriter, TokenType

from trainer.engine.gguf.architecture import cannot_write

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEKKEN_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
)
_PRE_BY_PATTERN = {
    _LLAMA3: "llama-bpe",
    _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"): "qwen2",
    _TEKKEN_WORDS + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+": "tekken",
}
"""The patterns that split text before byte-pair merging, and llama.cpp's names for them."""


@dataclass(frozen=True)
class Vocabulary:
    """`model` is `gpt2` for byte-level BPE and `llama` for SentencePiece; `pre`, `merges` are the first's, `scores` the
    second's. The special ids are those of `tokenizer.ggml.<name>_token_id`."""

    model: str
    pre: str
    tokens: Sequence[str]
    types: Sequence[TokenType]
    merges: Sequence[str] | None
    scores: Sequence[float] | None
    special_ids: Mapping[str, int]
    add_bos: bool
    add_eos: bool
    add_space_prefix: bool
    chat_template: str | None

    def write(self, writer: GGUFWriter) -> None:
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        if self.scores is not None:
            writer.add_token_scores(self.scores)
        writer.add_token_types(self.types)
        if self.merges is not None:
            writer.add_token_merges(self.merges)
        for name, add in (
            ("bos", writer.add_bos_token_id),
            ("eos", writer.add_eos_token_id),
            ("unknown", writer.add_unk_token_id),
            ("padding", writer.add_pad_token_id),
        ):
            if name in self.special_ids:
                add(self.special_ids[name])
        writer.add_add_bos_token(self.add_bos)
        writer.add_add_eos_token(self.add_eos)
        writer.add_add_space_prefix(self.add_space_prefix)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)


def read_vocabulary(tokenizer: Any, size: int) -> Vocabulary:
    """`size` is the model's: tokens that only pad its embedding are added as unused.

    Raises `Refused(CONFIG_INVALID)` for a tokenizer that llama.cpp has no like of.
    """
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    model = stored["model"]
    if model["type"] != "BPE":
        raise cannot_write(f"its tokenizer is of type {model['type']}, which llama.cpp splits otherwise")
    if len(tokenizer) > size:
        raise cannot_write(f"its tokenizer has {len(tokenizer)} tokens and its embedding {size}")
    sentencepiece = bool(model.get("byte_fallback"))
    tokens, types = _tokens(tokenizer, model, size, sentencepiece=sentencepiece)
    begins, ends = _adds(tokenizer)
    return Vocabulary(
        model="llama" if sentencepiece else "gpt2",
        pre="default" if sentencepiece else _pre(stored),
        tokens=tokens,
        types=types,
        merges=None if sentencepiece else [_merge(merge) for merge in model["merges"]],
        scores=_scores(tokens, types, model) if sentencepiece else None,
        special_ids=_special_ids(tokenizer),
        add_bos=begins,
        add_eos=ends,
        add_space_prefix=_prefixes_space(stored, sentencepiece=sentencepiece),
        chat_template=tokenizer.chat_template and tokenizer.get_chat_template(),
    )


def _tokens(
    tokenizer: Any, model: Mapping[str, Any], size: int, *, sentencepiece: bool
) -> tuple[list[str], list[TokenType]]:
    tokens = [f"[PAD{number}]" for number in range(size)]
    types = [TokenType.UNUSED] * size
    for token, number in model["vocab"].items():
        tokens[number] = token
        is_byte = sentencepiece and len(token) == 6 and token.startswith("<0x") and token.endswith(">")
        types[number] = TokenType.BYTE if is_byte else TokenType.NORMAL
    for number, added in tokenizer.added_tokens_decoder.items():
        # Those that are no control tokens are looked for in text as it was before spaces were replaced.
        tokens[number] = added.content if added.special else added.content.replace("▁", " ")
        types[number] = TokenType.CONTROL if added.special else TokenType.USER_DEFINED
    if sentencepiece and tokenizer.unk_token_id is not None:
        types[tokenizer.unk_token_id] = TokenType.UNKNOWN
    return tokens, types


def _scores(tokens: Sequence[str], types: Sequence[TokenType], model: Mapping[str, Any]) -> list[float]:
    """SentencePiece merges the pair whose token has the highest score: that which is merged first has the highest."""
    order: dict[str, int] = {}
    for merge in model["merges"]:
        order.setdefault("".join(_pair(merge)), len(order))
    rest = float(-len(order) - 1)
    return [
        0.0 if kind is not TokenType.NORMAL else float(-order[token]) if token in order else rest
        for token, kind in zip(tokens, types, strict=True)
    ]


def _pair(merge: Any) -> tuple[str, str]:
    if isinstance(merge, str):  # files of older versions
        left, _, right = merge.partition(" ")
        return left, right
    left, right = merge
    return left, right


def _merge(merge: Any) -> str:
    # In llama.cpp the first space after the first character divides; byte-level tokens hold none.
    return " ".join(_pair(merge))


def _pre(stored: Mapping[str, Any]) -> str:
    steps = _steps(stored.get("pre_tokenizer"))
    for step in steps:
        if step["type"] == "Split":
            pattern = step["pattern"].get("Regex", "")
            if (pre := _PRE_BY_PATTERN.get(pattern)) is not None:
                return pre
            raise cannot_write(f"llama.cpp does not know the pattern that its tokenizer splits text by: {pattern}")
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    raise cannot_write(f"llama.cpp does not know how its tokenizer splits text: {', '.join(kinds) or 'not at all'}")


def _steps(stored: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The parts of a normalizer or pre-tokenizer, which may be a sequence."""
    if stored is None:
        return []
    if stored["type"] == "Sequence":
        parts: list[Mapping[str, Any]] = stored.get("pretokenizers") or stored.get("normalizers") or []
        return parts
    return [stored]


def _prefixes_space(stored: Mapping[str, Any], *, sentencepiece: bool) -> bool:
    steps = [*_steps(stored.get("normalizer")), *_steps(stored.get("pre_tokenizer"))]
    if not sentencepiece:
        return any(step["type"] == "ByteLevel" and step.get("add_prefix_space", False) for step in steps)
    return any(
        step["type"] == "Prepend" or (step["type"] == "Metaspace" and step.get("prepend_scheme", "always") != "never")
        for step in steps
    )


def _special_ids(tokenizer: Any) -> dict[str, int]:
    ids = {
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
        "unknown": tokenizer.unk_token_id,
        "padding": tokenizer.pad_token_id,
    }
    return {name: number for name, number in ids.items() if number is not None}


def _adds(tokenizer: Any) -> tuple[bool, bool]:
    """Whether the tokenizer puts its begin token before a text, and its end token after."""
    ids = tokenizer("a")["input_ids"]
    begins = tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]
    ends = tokenizer.eos_token_id is not None and ids[-1:] == [tokenizer.eos_token_id]
    return begins, ends
