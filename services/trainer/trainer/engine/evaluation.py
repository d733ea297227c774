"""How well a trained model does on held-out rows, beside its base."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import GenerationConfig

from contracts.pipeline import EvaluationConfig, Sample
from trainer.domain.batches import plan_measurement
from trainer.domain.work import Progress
from trainer.engine.examples import Examples, Row, encode_prompts, read_rows, tokenise
from trainer.engine.machine import Machine, pick_machine
from trainer.engine.models import fetch, load_config, load_model, load_tokenizer
from trainer.engine.objective import Objective


@dataclass(frozen=True)
class Quality:
    """Over the answers' tokens: the mean loss in nats, and the share that is predicted right."""

    loss: float
    token_accuracy: float
    tokens: int

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.loss, 700.0))  # a float overflows beyond


@dataclass(frozen=True)
class EvaluationResult:
    """The trained model and its base on the same rows."""

    rows: int
    trained: Quality
    base: Quality
    samples: tuple[Sample, ...]


def evaluate(
    base_model: Path | str,
    rows_eval: Path,
    config: EvaluationConfig,
    *,
    adapter_dir: Path | None = None,
    model_dir: Path | None = None,
    max_seq_length: int,
    progress: Progress,
) -> EvaluationResult:
    """Measures `base_model` with and without the adapter in `adapter_dir`, or beside the whole model in `model_dir`.

    Raises `Refused` as `train` does, and ValueError unless exactly one of the two directories is given.
    """
    if (adapter_dir is None) == (model_dir is None):
        raise ValueError("give adapter_dir or model_dir")
    directory = fetch(base_model)
    rows = list(read_rows(rows_eval))[: config.max_rows]
    examination = _Examination.prepare(directory, rows, config, max_seq_length)
    progress.log("INFO", f"Measuring {len(examination.examples):,} held-out rows with the trained model and its base")
    if adapter_dir is not None:
        model = PeftModel.from_pretrained(examination.load(directory), adapter_dir)
        trained, answers = examination.take(model)
        with model.disable_adapter():
            base, base_answers = examination.take(model)
    else:
        trained, answers = examination.take(examination.load(model_dir or directory))
        base, base_answers = examination.take(examination.load(directory))
    progress.log(
        "METRIC",
        f"held-out loss {trained.loss:.4f}, of the base {base.loss:.4f};"
        f" tokens predicted right {trained.token_accuracy:.1%}, by the base {base.token_accuracy:.1%}",
        eval_loss=trained.loss,
    )
    samples = (
        Sample(prompt=row.prompt, reference=row.completion, base_answer=base_answer, answer=answer)
        for row, base_answer, answer in zip(examination.asked, base_answers, answers, strict=True)
    )
    return EvaluationResult(len(examination.examples), trained, base, tuple(samples))


def measure(objective: Objective, examples: Examples, batch_size: int, machine: Machine) -> Quality:
    """The quality on all examples. No logits are kept, so memory does not grow with their number."""
    plan = plan_measurement(examples.lengths, batch_size)
    parts = [objective.measure(objective.collate(examples, rows)) for rows in plan]
    tokens = sum(part.tokens for part in parts)
    loss, correct = sum(part.loss for part in parts), sum(part.correct for part in parts)
    return Quality(loss / tokens, correct / tokens, tokens)


@dataclass(frozen=True)
class _Examination:
    """What every model is asked: the rows it is measured on, and those that it answers for a person to read."""

    examples: Examples
    asked: Sequence[Row]
    config: EvaluationConfig
    tokenizer: Any
    max_seq_length: int
    machine: Machine

    @classmethod
    def prepare(
        cls, directory: Path, rows: Sequence[Row], config: EvaluationConfig, max_seq_length: int
    ) -> "_Examination":
        tokenizer = load_tokenizer(directory)
        return cls(
            examples=tokenise(iter(rows), tokenizer, max_seq_length),
            asked=_spread(rows, config.generate_samples),
            config=config,
            tokenizer=tokenizer,
            max_seq_length=max_seq_length,
            machine=pick_machine(load_config(directory).hidden_size),
        )

    def load(self, directory: Path) -> Any:
        return load_model(directory, torch.bfloat16 if self.machine.half else torch.float32).to(self.machine.device)

    def take(self, model: Any) -> tuple[Quality, list[str]]:
        """The model's quality, and its answers to what is asked."""
        model.eval()
        quality = measure(Objective(model, self.machine), self.examples, self.config.batch_size, self.machine)
        return quality, self._answers(model)

    def _answers(self, model: Any) -> list[str]:
        """The most probable answers, token by token."""
        answers: list[str] = []
        prompts = encode_prompts([row.prompt for row in self.asked], self.tokenizer)
        end = self.tokenizer.eos_token_id
        greedy = GenerationConfig(
            do_sample=False, max_new_tokens=self.config.max_new_tokens, eos_token_id=end, pad_token_id=end
        )
        for start in range(0, len(prompts), self.config.batch_size):
            tokens, mask = self._pad_before(prompts[start : start + self.config.batch_size], end)
            with torch.inference_mode(), self.machine.autocast():
                written = model.generate(input_ids=tokens, attention_mask=mask, generation_config=greedy)
            answers += self.tokenizer.batch_decode(written[:, tokens.shape[1] :], skip_special_tokens=True)
        return [answer.strip() for answer in answers]

    def _pad_before(self, prompts: Sequence[list[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and mask: an answer must follow its prompt at once, and a prompt too long keeps its end."""
        kept = [prompt[-self.max_seq_length :] for prompt in prompts]
        width = max(1, *(len(prompt) for prompt in kept))
        tokens = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in kept])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in kept])
        return tokens.to(self.machine.device), mask.to(self.machine.device)


def _spread(rows: Sequence[Row], count: int) -> list[Row]:
    """Up to `count` rows from all over the set."""
    count = min(count, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]
