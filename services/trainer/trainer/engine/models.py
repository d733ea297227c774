"""Base models and their tokenizers: found by reference, loaded from safetensors alone, never with remote code."""

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from contracts.base import RefusalCode, Refused

_HUB_ID = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_WANTED = ["*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model"]
_UNWANTED = ["original/*", "consolidated*", "onnx/*"]


def resolve_model(reference: str, models_dir: Path) -> Path | str:
    """The directory of a model in `models_dir`, by its name or its path; anything else must be a Hugging Face id.

    Raises `Refused(CONFIG_INVALID)` for what is neither. The hub is not asked yet.
    """
    root = Path(os.path.abspath(models_dir))  # noqa: PTH100 - a link that the operator set may lead out, `..` may not
    candidate = Path(os.path.abspath(root / reference))  # noqa: PTH100
    if root in candidate.parents and candidate.is_dir():
        if not (candidate / "config.json").is_file():
            raise _refused(reference, "its directory holds no config.json")
        return candidate
    if _HUB_ID.fullmatch(reference):
        return reference
    raise _refused(reference, "it is neither in the models directory nor a Hugging Face id")


def fetch(model: Path | str) -> Path:
    """The directory with the model's files, downloaded if it is a Hugging Face id that is not here yet.

    Raises `Refused(CONFIG_INVALID)` when it cannot be had.
    """
    if isinstance(model, Path):
        return model
    try:
        return Path(snapshot_download(model, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise _refused(
            model,
            "it is not in the models directory, and Hugging Face did not hand it out."
            f" Check the id, the network and, for a gated model, HF_TOKEN ({type(error).__name__}: {reason})",
        ) from error


def load_tokenizer(directory: Path) -> Any:
    """Raises `Refused(CONFIG_INVALID)` when the directory holds none, or one without an end-of-text token."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise _refused(directory.name, f"its tokenizer could not be loaded ({error})") from error
    if tokenizer.eos_token_id is None:
        raise _refused(directory.name, "its tokenizer has no end-of-text token, so it would never learn to stop")
    return tokenizer


def load_config(directory: Path) -> Any:
    """The architecture of the model: `hidden_size`, `vocab_size`, ... Raises `Refused(CONFIG_INVALID)`."""
    try:
        return AutoConfig.from_pretrained(directory, trust_remote_code=False).get_text_config()
    except (OSError, ValueError, KeyError) as error:
        raise _refused(directory.name, f"its config.json could not be read ({error})") from error


def load_model(directory: Path, dtype: torch.dtype | None = None, **options: Any) -> Any:
    """A causal language model in `dtype`, by default that of its files. Raises `Refused(CONFIG_INVALID)`."""
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype or "auto",
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="sdpa",
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _refused(directory.name, f"it could not be loaded ({error})") from error
    if found["missing_keys"]:  # transformers would train on with random numbers in their place
        raise _refused(
            directory.name, f"its files lack the weights {', '.join(sorted(found['missing_keys'])[:3])}, ..."
        )
    return model


def load_quantised_model(directory: Path) -> Any:
    """The base of QLoRA: weights in 4 bits (NF4, doubly quantised), computed in bfloat16.

    Raises `Refused(CONFIG_INVALID)` on a machine that cannot.
    """
    if not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None:
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            "Method 'qlora' needs a CUDA GPU and the package bitsandbytes, and this trainer lacks them;"
            " method 'lora' trains the same adapter on a base in 16 or 32 bits",
            {"errors": [{"field": "method", "message": "'qlora' is not available on this machine"}]},
        )
    from transformers import BitsAndBytesConfig  # noqa: PLC0415 - of use with bitsandbytes alone

    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return load_model(
        directory, torch.bfloat16, quantization_config=quantisation, device_map={"": torch.cuda.current_device()}
    )


def _refused(reference: str, reason: str) -> Refused:
    return Refused(
        RefusalCode.CONFIG_INVALID,
        f"The base model {reference!r} cannot be used: {reason}",
        {"errors": [{"field": "base_model", "message": reason}]},
    )
