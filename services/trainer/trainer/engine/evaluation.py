"""How well a trained model does on held-out rows, beside its base."""

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from peft import PeftModel

from contracts.pipeline import EvaluationConfig, Sample
from trainer.domain.batches import plan_measurement
from trainer.domain.measures import Measures
from trainer.domain.work import Progress
from trainer.engine.examination import Examination
from trainer.engine.examples import Examples, Row, read_rows
from trainer.engine.models import fetch
from trainer.engine.objective import Objective

_TRAINED, _BASE = "the trained model", "its base model"


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
    """The trained model and its base on the same `rows`."""

    rows: list[Row]
    trained: Measures
    base: Measures

    def samples(self, count: int) -> list[Sample]:
        """Up to `count` rows with both answers, from all over the set."""
        answered = [
            Sample(prompt=row.prompt, reference=row.completion, base_answer=base.answer or "", answer=result.answer)
            for row, result, base in zip(self.rows, self.trained.results, self.base.results, strict=True)
            if result.answer is not None
        ]
        count = min(count, len(answered))
        return [answered[index * len(answered) // count] for index in range(count)]


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

    Raises `Refused` as `train` does, also for losses that are no numbers, and ValueError unless exactly one of the two
    directories is given.
    """
    if (adapter_dir is None) == (model_dir is None):
        raise ValueError("give adapter_dir or model_dir")
    directory = fetch(base_model)
    rows = list(islice(read_rows(rows_eval), config.max_rows))
    examination = Examination.prepare(directory, rows, config, max_seq_length)
    progress.log(
        "INFO",
        f"Measuring {len(examination.rows):,} held-out rows with the trained model and its base,"
        f" and asking for {len(examination.asked):,} answers",
    )
    if adapter_dir is not None:
        model = PeftModel.from_pretrained(examination.load(directory), adapter_dir)
        trained = examination.take(model, _TRAINED)
        with model.disable_adapter():
            base = examination.take(model, _BASE)
    else:
        trained = examination.take(examination.load(model_dir or directory), _TRAINED)
        base = examination.take(examination.load(directory), _BASE)
    now, before = trained.metrics(), base.metrics()
    progress.log(
        "METRIC",
        f"held-out loss {now['loss']:.4f}, of the base {before['loss']:.4f};"
        f" tokens predicted right {now['token_accuracy']:.1%}, by the base {before['token_accuracy']:.1%}",
        eval_loss=now["loss"],
    )
    return EvaluationResult(list(examination.rows), trained, base)


def measure(objective: Objective, examples: Examples, batch_size: int) -> Quality:
    """The quality on all examples. No logits are kept, so memory does not grow with their number."""
    plan = plan_measurement(examples.lengths, batch_size)
    parts = [objective.measure(objective.collate(examples, rows)) for rows in plan]
    tokens = sum(part.tokens for part in parts)
    loss, correct = sum(part.loss for part in parts), sum(part.correct for part in parts)
    return Quality(loss / tokens, correct / tokens, tokens)
