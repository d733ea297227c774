"""Small models of the four architectures that GGUF is written of, each with a tokenizer of its family, trained here."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEMPLATE = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
_STEPS = 60


def make_model(kind: str, texts: Sequence[str], out: Path) -> Path:
    """A model that has read `texts` for a second: enough to be sure of some tokens."""
    tokenizer = sentencepiece(texts) if kind == "mistral" else byte_level(texts, kind)
    torch.manual_seed(11)
    model = _build(kind, tokenizer)
    _train(model, tokenizer, texts)
    tokenizer.save_pretrained(out)
    model.save_pretrained(out)
    return out


def byte_level(texts: Sequence[str], kind: str) -> PreTrainedTokenizerFast:
    """BPE on bytes that splits text as Llama 3 or Qwen do."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=kind == "llama"))
    pattern = _LLAMA3 if kind == "llama" else _LLAMA3.replace("{1,3}", "")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>", "<|pad|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=special[0], eos_token=special[1], pad_token=special[2]
    )
    fast.chat_template = _TEMPLATE
    return fast


def sentencepiece(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """BPE as SentencePiece does it and Llama 2 and Mistral use it: spaces are a sign, unknown characters bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False, max_token_length=12)
    # Without a pre-tokenizer a piece may span words, so the words are given one by one.
    tokenizer.train_from_iterator([word for text in texts for word in text.split(" ")], trainer)
    stored = tokenizer.to_str()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=_with_plain_bytes(stored), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    fast.chat_template = _TEMPLATE
    return fast


def _with_plain_bytes(stored: str) -> Tokenizer:
    """Bytes are tokens of the model but no special ones, as in the files of Llama 2."""
    import json  # noqa: PLC0415

    state = json.loads(stored)
    state["added_tokens"] = [token for token in state["added_tokens"] if not token["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(state))


def _build(kind: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    common: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    match kind:
        case "llama":  # rows of whole blocks; the scaling of Llama 3.1, with numbers that bite within a short text
            rope = {
                "rope_type": "llama3",
                "rope_theta": 500_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
            wide = common | {"hidden_size": 256, "intermediate_size": 512}
            return LlamaForCausalLM(LlamaConfig(**wide, rope_parameters=rope, tie_word_embeddings=True))
        case "mistral":  # heads of a size of their own, as Mistral Nemo's
            return MistralForCausalLM(MistralConfig(**common, head_dim=32, tie_word_embeddings=False))
        case "qwen2":  # an embedding that is larger than the tokenizer, as all of Qwen's
            padded = common | {"vocab_size": len(tokenizer) + 16}
            return Qwen2ForCausalLM(Qwen2Config(**padded, tie_word_embeddings=True))
        case _:
            return Qwen3ForCausalLM(Qwen3Config(**common, head_dim=32, tie_word_embeddings=False))


def _train(model: Any, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> None:
    ids = [token for text in texts for token in (*tokenizer(text)["input_ids"], tokenizer.eos_token_id)]
    rows = torch.tensor(ids[: len(ids) // 64 * 64]).reshape(-1, 64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.04 / math.sqrt(model.config.hidden_size))
    model.train()
    for step in range(_STEPS):
        batch = rows[(step * 8) % max(1, len(rows) - 8) :][:8]
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():  # norms and biases that do something
        for name, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.05)
                del name
