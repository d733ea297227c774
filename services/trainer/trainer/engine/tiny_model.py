"""Makes a small base model from nothing but text: a Llama with a tokenizer of its own, pre-trained for some seconds.

So the platform shows its whole way from raw file to served model on a machine that downloads no weights. The model has
learnt what the text looks like, not what it means.
"""

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.utils import clip_grad_norm_
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from contracts.base import RefusalCode, Refused
from contracts.pipeline import TrainingConfig
from trainer.domain.schedule import learning_rate
from trainer.domain.work import Progress
from trainer.engine.examples import Examples
from trainer.engine.machine import Machine, prepare_cpu
from trainer.engine.objective import Objective, collate
from trainer.engine.trainable import make_optimizer

_END, _PAD = "<|endoftext|>", "<|pad|>"
_HEAD_WIDTH = 32

_CHAT_TEMPLATE = """
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
{{- '### Response:\\n' -}}{%- generation -%}{{- message['content'] + eos_token -}}{%- endgeneration -%}{{- '\\n\\n' -}}
{%- elif message['role'] == 'system' -%}
{{- message['content'] + '\\n\\n' -}}
{%- else -%}
{{- '### Instruction:\\n' + message['content'] + '\\n\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '### Response:\\n' -}}{%- endif -%}
""".strip()

_CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [demonstration, from-scratch]
---
# {name}

A Llama of {weights:,} weights that this platform made from {documents:,} documents ({tokens:,} tokens) in {steps} steps
of pre-training, seed {seed}. Its loss fell from {first:.2f} to {last:.2f} nats a token.

It exists to show fine-tuning and serving on any machine without a download. It knows the look of its text and nothing
of the world: do not use its answers.
"""


@dataclass(frozen=True)
class Shape:
    """How big the model is and how long it learns: some 40 seconds on two cores, set in steps so that equal text makes
    an equal model."""

    vocabulary: int = 4096
    width: int = 128
    layers: int = 4
    inner: int = 384
    context: int = 1024
    block: int = 128
    """Tokens of a training row."""
    batch_size: int = 8
    steps: int = 440
    peak_learning_rate: float = 3e-3


@dataclass(frozen=True)
class TinyModel:
    """What was made; losses are nats a token."""

    weights: int
    tokens: int
    first_loss: float
    final_loss: float
    seconds: float


def make_tiny_model(
    texts: Iterable[str], out: Path, *, progress: Progress, seed: int = 42, shape: Shape | None = None
) -> TinyModel:
    """Writes the model, its tokenizer and its card into `out`, which appears only once it is whole.

    Raises `Refused(DATASET_INVALID)` for too little text and FileExistsError when `out` is there.
    """
    shape = shape or Shape()
    if out.exists():
        raise FileExistsError(f"{out} exists")
    started = time.perf_counter()
    prepare_cpu()
    documents = [text for text in texts if text.strip()]
    tokenizer = _make_tokenizer(documents, shape)
    blocks = _cut_into_blocks(documents, tokenizer, shape)
    progress.log("INFO", f"A tokenizer of {len(tokenizer):,} tokens; {blocks.size:,} tokens of text")
    torch.manual_seed(seed)
    model = _build(tokenizer, shape)
    losses = list(_pretrain(model, blocks, shape, seed, progress))
    made = TinyModel(
        weights=sum(weight.numel() for weight in model.parameters()),
        tokens=blocks.size,
        first_loss=losses[0],
        final_loss=float(np.mean(losses[-10:])),
        seconds=time.perf_counter() - started,
    )
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tokenizer.save_pretrained(part)
    model.save_pretrained(part)
    (part / "README.md").write_text(_card(out.name, made, len(documents), shape, seed), encoding="utf-8")
    part.rename(out)
    progress.log(
        "INFO",
        f"Made {out.name}: {made.weights:,} weights, loss {made.first_loss:.2f} → {made.final_loss:.2f},"
        f" {made.seconds:.0f} s",
    )
    return made


def _make_tokenizer(documents: Sequence[str], shape: Shape) -> PreTrainedTokenizerFast:
    """Byte-level BPE, as GPT-2's: any text can be written in it, and there is no unknown token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=[_END, _PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=_END,
        eos_token=_END,
        pad_token=_PAD,
        model_max_length=shape.context,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = _CHAT_TEMPLATE
    return fast


def _cut_into_blocks(
    documents: Sequence[str], tokenizer: PreTrainedTokenizerFast, shape: Shape
) -> npt.NDArray[np.int32]:
    """`[blocks, block]`: all documents end to end, each ended by the end-of-text token; the rest is left out."""
    ids = tokenizer(list(documents), add_special_tokens=False)["input_ids"]
    stream = np.fromiter((token for document in ids for token in (*document, tokenizer.eos_token_id)), dtype=np.int32)
    count = len(stream) // shape.block
    if count < shape.batch_size:
        raise Refused(
            RefusalCode.DATASET_INVALID,
            f"{len(stream):,} tokens of text do not make a model; it takes {shape.batch_size * shape.block:,} at least",
        )
    return stream[: count * shape.block].reshape(count, shape.block)


def _build(tokenizer: PreTrainedTokenizerFast, shape: Shape) -> LlamaForCausalLM:
    heads = shape.width // _HEAD_WIDTH
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.width,
            intermediate_size=shape.inner,
            num_hidden_layers=shape.layers,
            num_attention_heads=heads,
            num_key_value_heads=max(1, heads // 2),
            max_position_embeddings=shape.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="sdpa",
        )
    )


def _pretrain(
    model: LlamaForCausalLM, blocks: npt.NDArray[np.int32], shape: Shape, seed: int, progress: Progress
) -> Iterator[float]:
    """The loss of each step, as it is taken."""
    config = TrainingConfig(
        method="full",
        max_steps=shape.steps,
        learning_rate=shape.peak_learning_rate,
        warmup_ratio=0.1,
        weight_decay=0.05,
        seed=seed,
    )
    machine = Machine(torch.device("cpu"), half=False)
    weights = dict(model.named_parameters())
    optimizer = make_optimizer(weights, config)
    objective = Objective(model, machine)
    examples = _as_examples(blocks)
    model.train()
    for step, rows in zip(range(shape.steps), _draw(len(blocks), shape.batch_size, seed), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, shape.steps, config)
        batch = collate(examples, rows, machine.device)
        loss = objective.backward(batch, 1 / len(batch.targets)).item()
        clip_grad_norm_(weights.values(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 20 == 0 or step + 1 == shape.steps:
            message = f"pre-training step {step + 1}/{shape.steps} loss {loss:.3f}"
            progress.log("METRIC", message, step=step + 1, total_steps=shape.steps, loss=loss)
        yield loss


def _as_examples(blocks: npt.NDArray[np.int32]) -> Examples:
    """Rows without a prompt: every token but the first counts."""
    count, width = blocks.shape
    starts = np.arange(count + 1, dtype=np.int64) * width
    return Examples(blocks.reshape(-1), starts, np.ones(count, dtype=np.int32), skipped=0)


def _draw(count: int, size: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Batches without end, every block once before any comes again."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(count).tolist()
        for start in range(0, count - size + 1, size):
            yield tuple(order[start : start + size])


def _card(name: str, made: TinyModel, documents: int, shape: Shape, seed: int) -> str:
    return _CARD.format(
        name=name,
        weights=made.weights,
        documents=documents,
        tokens=made.tokens,
        steps=shape.steps,
        seed=seed,
        first=made.first_loss,
        last=made.final_loss,
    )
