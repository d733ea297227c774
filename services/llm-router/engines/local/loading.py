"""Brings a base model into memory: finds or downloads its files, then builds it from safetensors alone."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from llguidance import LLTokenizer
from llguidance.hf import from_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from engines.local.catalogue import Source
from engines.local.settings import Device, Dtype
from engines.openai_wire import ApiError, model_not_found

_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
_NOT_FOR_US = ["*/*", "consolidated*.safetensors"]
"""Folders with other formats, and Mistral's second copy of the same weights."""

_CONTEXT_LENGTH_IF_UNSTATED = 4096
_UNSTATED = 10**9
"""transformers gives tokenizers that state no length one of 10^30."""


@dataclass(frozen=True)
class Weights:
    """A model in memory. Any of `end_tokens` ends an answer; `context_length` counts prompt and answer."""

    model: Any
    tokenizer: Any
    context_length: int
    end_tokens: frozenset[int]

    @cached_property
    def grammar_tokenizer(self) -> LLTokenizer:
        """The tokenizer as grammars need it. Takes a second the first time. Raises ApiError (400) for a slow one."""
        size = self.model.config.get_text_config().vocab_size
        try:
            return from_tokenizer(self.tokenizer, n_vocab=size, eos_token=sorted(self.end_tokens))
        except ValueError as error:
            message = f"This model's tokenizer cannot be kept to a format: {error}"
            raise ApiError(400, message, param="response_format") from error


def fetch(source: Source) -> Path:
    """The folder of a model, downloaded if it is a Hugging Face id. Blocks. Raises ApiError (404)."""
    if source.path is not None:
        return source.path
    try:
        return Path(snapshot_download(source.name, allow_patterns=_HUB_FILES, ignore_patterns=_NOT_FOR_US))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise model_not_found(source.name) from error


def build(name: str, folder: Path, device: Device, dtype: Dtype) -> Weights:
    """Builds the model in `folder`. Blocks, and must not run twice at once: transformers changes global state then.

    Reads safetensors only and runs no code that comes with a model. Raises ApiError (500) if it cannot be built.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype="auto" if dtype == "auto" else getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ApiError(
            500, f"The model `{name}` cannot be loaded: {why}", kind="server_error", code="model_load_failed"
        ) from error
    model = model.to(_device(device)).eval()
    return Weights(model, tokenizer, _context_length(model, tokenizer), _end_tokens(model, tokenizer))


def _device(device: Device) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def _context_length(model: Any, tokenizer: Any) -> int:
    stated = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(stated, int) and stated > 0:
        return stated
    if 0 < tokenizer.model_max_length < _UNSTATED:
        return int(tokenizer.model_max_length)
    return _CONTEXT_LENGTH_IF_UNSTATED


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """What the model's generation_config.json names, one or several, and the tokenizer's own."""
    named = model.generation_config.eos_token_id
    several = named if isinstance(named, list) else [named]
    return frozenset(token for token in [*several, tokenizer.eos_token_id] if token is not None)
