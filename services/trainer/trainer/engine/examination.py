"""Has models do the held-out rows: each row's loss, and answers to some of them, in as much memory as there is."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import GenerationConfig

from contracts.base import RefusalCode, Refused
from contracts.pipeline import EvaluationConfig
from trainer.domain.batches import MicroBatch, plan_measurement
from trainer.domain.failures import is_out_of_memory
from trainer.domain.measures import Measures, RowResult
from trainer.domain.scores import label_of, labels_among
from trainer.engine.examples import Examples, Row, encode, encode_prompts, tokenise
from trainer.engine.machine import Machine, pick_machine
from trainer.engine.models import load_config, load_model, load_tokenizer
from trainer.engine.objective import Objective
from trainer.engine.row_losses import row_losses

T = TypeVar("T")


@dataclass(frozen=True)
class Examination:
    """What every model is asked: `rows` to measure its losses on, those numbered in `asked` to answer.

    `labels` are those of a classification.
    """

    examples: Examples
    rows: Sequence[Row]
    asked: Sequence[int]
    labels: Sequence[str] | None
    config: EvaluationConfig
    tokenizer: Any
    max_seq_length: int
    machine: Machine

    @classmethod
    def prepare(
        cls, directory: Path, rows: Sequence[Row], config: EvaluationConfig, max_seq_length: int
    ) -> "Examination":
        """Rows that have no token to learn within the length are left out. Raises `Refused`."""
        tokenizer = load_tokenizer(directory)
        fitting = _fitting(rows, tokenizer, max_seq_length)
        examples = tokenise(iter(fitting or rows), tokenizer, max_seq_length)
        count = max(config.generation_rows, config.generate_samples)
        return cls(
            examples=examples,
            rows=fitting,
            asked=_spread(len(fitting), count),
            labels=labels_of(config, [row.completion for row in fitting]),
            config=config,
            tokenizer=tokenizer,
            max_seq_length=max_seq_length,
            machine=pick_machine(load_config(directory).hidden_size),
        )

    def load(self, directory: Path) -> Any:
        model = load_model(directory, torch.bfloat16 if self.machine.half else torch.float32).to(self.machine.device)
        # What its makers advise for chats, such as a penalty on repetition, would stand in for all that we do not say.
        model.generation_config = GenerationConfig()
        return model

    def take(self, model: Any, name: str) -> Measures:
        """The model's results on all rows. Raises `Refused(TRAINING_FAILED)` when its losses are no numbers."""
        model.eval()
        objective = Objective(model, self.machine)
        results = self._measure(objective)
        if not all(math.isfinite(result.loss) for result in results):
            raise Refused(
                RefusalCode.TRAINING_FAILED,
                f"On some held-out rows the losses of {name} are no numbers: it diverged, or its weights are damaged",
            )
        for number, answer in zip(self.asked, self._answers(model), strict=True):
            results[number] = replace(results[number], answer=answer)
        return Measures(results, [row.completion for row in self.rows], self.labels)

    def _measure(self, objective: Objective) -> list[RowResult]:
        results: dict[int, RowResult] = {}
        for rows in plan_measurement(self.examples.lengths, self.config.batch_size):
            for some, found in fitted(rows, lambda part: row_losses(objective, self.examples, part)):
                results |= zip(some, found, strict=True)
        return [results[number] for number in range(len(self.rows))]

    def _answers(self, model: Any) -> list[str]:
        """The most probable answers, token by token, to what is asked, in its order."""
        prompts = encode_prompts([self.rows[number].prompt for number in self.asked], self.tokenizer)
        kept = [prompt[-self.max_seq_length :] for prompt in prompts]
        answers: dict[int, str] = {}
        for rows in plan_measurement([len(prompt) for prompt in kept], self.config.batch_size):
            for some, said in fitted(rows, lambda part: self._generate(model, [kept[row] for row in part])):
                answers |= zip(some, said, strict=True)
        return [answers[number].strip() for number in range(len(kept))]

    def _generate(self, model: Any, prompts: Sequence[list[int]]) -> list[str]:
        end = self.tokenizer.eos_token_id
        greedy = GenerationConfig(
            do_sample=False, max_new_tokens=self._longest_answer(), eos_token_id=end, pad_token_id=end
        )
        tokens, mask = self._pad_before(prompts, end)
        with torch.inference_mode(), self.machine.autocast():
            written = model.generate(input_ids=tokens, attention_mask=mask, generation_config=greedy)
        return list(self.tokenizer.batch_decode(written[:, tokens.shape[1] :], skip_special_tokens=True))

    def _longest_answer(self) -> int:
        """Tokens: no more than the longest label has, and its end."""
        if self.labels is None:
            return self.config.max_new_tokens
        longest = max(len(ids) for ids in encode_prompts([f" {label}" for label in self.labels], self.tokenizer))
        return min(self.config.max_new_tokens, longest + 2)

    def _pad_before(self, prompts: Sequence[list[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and mask: an answer must follow its prompt at once."""
        width = max(1, *(len(prompt) for prompt in prompts))
        tokens = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        return tokens.to(self.machine.device), mask.to(self.machine.device)


def fitted(rows: MicroBatch, work: Callable[[MicroBatch], T]) -> list[tuple[MicroBatch, T]]:
    """What `work` makes of the rows, together or, where memory is too small for that, in halves.

    Raises `Refused(CONFIG_INVALID)` when it is too small for one row.
    """
    try:
        return [(rows, work(rows))]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        # Not in here: the error's frames hold what filled the memory.
    if len(rows) == 1:
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            "The memory of this machine is too small to measure the model on one row; lower max_seq_length",
            {"errors": [{"field": "max_seq_length", "message": "a row does not fit into memory"}]},
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(rows) // 2
    return [*fitted(rows[:middle], work), *fitted(rows[middle:], work)]


def labels_of(config: EvaluationConfig, completions: Sequence[str]) -> list[str] | None:
    """The labels of a classification; None where answers are texts.

    Raises `Refused(CONFIG_INVALID)` for rows whose completion is none of the labels.
    """
    if config.task == "generation":
        return None
    labels = config.labels or labels_among(completions)
    if labels is None and config.task == "classification":
        raise _no_labels("the completions are too many or too long to be labels; name them in labels")
    if labels is not None:
        others = sorted({text for text in completions if label_of(text, labels) == len(labels)})
        if others:
            raise _no_labels(f"some rows are none of them, such as {others[0][:80]!r}")
    return labels


def _no_labels(reason: str) -> Refused:
    return Refused(
        RefusalCode.CONFIG_INVALID,
        f"The held-out rows cannot be measured as a classification: {reason}",
        {"errors": [{"field": "labels", "message": reason}]},
    )


def _fitting(rows: Sequence[Row], tokenizer: Any, max_seq_length: int) -> list[Row]:
    """Those of which `tokenise` keeps something to predict."""
    lengths = ((max(1, prompt), len(ids)) for prompt, ids in encode(rows, tokenizer)) if rows else ()
    return [row for row, (first, end) in zip(rows, lengths, strict=True) if first < min(end, max_seq_length)]


def _spread(length: int, count: int) -> list[int]:
    """Up to `count` rows from all over the set."""
    count = min(count, length)
    return [index * length // count for index in range(count)]
