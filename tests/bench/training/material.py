"""What both sides train: a model of random weights with a tokenizer of real text, and rows of all lengths."""

import ast
import json
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

_END, _PAD = "<|endoftext|>", "<|pad|>"
_SEED = 11
_SHORTEST, _LONGEST = 200, 6000
"""Characters of a docstring that becomes a row's answer."""
_SKIPPED = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages"}


@dataclass(frozen=True)
class Shape:
    """A Llama's measures."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    key_value_heads: int
    inner: int

    @property
    def multiplied(self) -> int:
        """Weights that each token is multiplied with, the head's left out: it sees the answers' tokens alone."""
        attention = 2 * self.width * self.width * (1 + self.key_value_heads / self.heads)
        return int(self.layers * (attention + 3 * self.width * self.inner))

    @property
    def wants_gpu(self) -> bool:
        return self.width >= 2048


SHAPES: Mapping[str, Shape] = {
    "10m": Shape(8_192, 320, 6, 5, 5, 864),
    "50m": Shape(16_384, 576, 12, 9, 3, 1536),
    "135m": Shape(16_384, 576, 30, 9, 3, 1536),
    "1b": Shape(32_768, 2048, 16, 32, 8, 8192),
    "8b": Shape(32_768, 4096, 32, 32, 8, 14336),
}
"""`50m` and `135m` have the layers of SmolLM2-135M, `1b` those of Llama 3.2 1B, `8b` those of Llama 3.1 8B. Their
vocabularies are as large as a tokenizer of Python's own documentation can fill."""


def make_model(shape: Shape, texts: Sequence[str], directory: Path) -> int:
    """Writes a base model into `directory`; how many weights it has. From 1b on they are stored in bfloat16."""
    tokenizer = _make_tokenizer(texts, shape.vocabulary)
    tokenizer.save_pretrained(directory)
    torch.manual_seed(_SEED)
    large = shape.wants_gpu
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=8192,
        tie_word_embeddings=not large,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.device("cuda" if large and torch.cuda.is_available() else "cpu"):
        torch.set_default_dtype(torch.bfloat16 if large else torch.float32)
        try:
            model = LlamaForCausalLM(config)
        finally:
            torch.set_default_dtype(torch.float32)
    model.save_pretrained(directory)
    return sum(weight.numel() for weight in model.parameters())


def read_documentation() -> list[tuple[str, str]]:
    """Signature and docstring of whatever in Python's standard library has one of some length."""
    found = [entry for tree, module in _modules() for entry in _documented(tree, module)]
    return [(what, text) for what, text in found if _SHORTEST <= len(text) <= _LONGEST]


def write_rows(documentation: Sequence[tuple[str, str]], count: int, path: Path) -> None:
    """Writes rows of prompt and completion, drawn with a fixed seed; from the start again when there are too few."""
    drawn = list(documentation)
    Random(_SEED).shuffle(drawn)
    with path.open("w", encoding="utf-8") as file:
        for index in range(count):
            what, text = drawn[index % len(drawn)]
            prompt = f"### Instruction:\nWrite the documentation of `{what}`.\n\n### Response:\n"
            file.write(json.dumps({"prompt": prompt, "completion": text}) + "\n")


def _make_tokenizer(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[_END, _PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=_END, eos_token=_END, pad_token=_PAD)


def _modules() -> Iterator[tuple[ast.Module, str]]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not _SKIPPED & set(parts):
            try:
                yield ast.parse(path.read_text(encoding="utf-8")), ".".join(p for p in parts if p != "__init__")
            except (SyntaxError, UnicodeDecodeError):
                continue


def _documented(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            text := ast.get_docstring(node)
        ):
            arguments = "" if isinstance(node, ast.ClassDef) else f"({ast.unparse(node.args)})"
            yield f"{module}.{node.name}{arguments}", text
