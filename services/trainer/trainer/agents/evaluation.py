"""EvaluationAgent: measures the trained model beside its base on the rows that training never saw."""

from collections.abc import Mapping, Sequence

import orjson

from contracts.pipeline import (
    Confusion,
    EvaluationConfig,
    EvaluationOutput,
    PreprocessingOutput,
    Sample,
    TrainingOutput,
)
from trainer.agents.assignment import Assignment
from trainer.domain.configuration import config_of
from trainer.domain.inputs import need
from trainer.engine.evaluation import EvaluationResult, evaluate
from trainer.engine.models import resolve_model

_LONGEST_TEXT, _LONGEST_TOGETHER = 2000, 100_000
"""Characters of a sample's text, and of all of them, that travel on: a person reads these, and what a hundred agents of
one job have put out goes into a message. The report has them whole."""
_MOST_LABELS = 50
"""A larger confusion matrix lies in the report alone."""


def run(work: Assignment) -> EvaluationOutput:
    """Raises `Refused`: CONFIG_INVALID, DATASET_INVALID, TRAINING_FAILED, STORAGE_FAILED."""
    config = config_of(work.step, EvaluationConfig)
    rows = need(work.step, PreprocessingOutput)
    training = need(work.step, TrainingOutput)
    work.progress.log("INFO", f"Starting evaluation on {rows.eval_rows} held-out rows")
    trained = work.fetch_directory(training.model_path)
    is_whole = training.method == "full"
    result = evaluate(
        resolve_model(training.base_model, work.models_dir),
        work.fetch(rows.eval_path),
        config,
        adapter_dir=None if is_whole else trained,
        model_dir=trained if is_whole else None,
        max_seq_length=rows.max_seq_length,
        progress=work.progress,
    )
    report = work.place("rows.jsonl")
    work.objects.put_bytes(report, _report(result))
    metrics, base = result.trained.metrics(), result.base.metrics()
    told = ", ".join(f"{name} {base[name]:.4g} → {value:.4g}" for name, value in metrics.items())
    work.progress.log("INFO", f"Evaluation finished over {len(result.rows)} rows: {told}")
    return EvaluationOutput(
        rows=len(result.rows),
        tokens=sum(row.tokens for row in result.trained.results),
        loss=metrics["loss"],
        perplexity=metrics["perplexity"],
        token_accuracy=metrics["token_accuracy"],
        base_loss=base["loss"],
        base_perplexity=base["perplexity"],
        base_token_accuracy=base["token_accuracy"],
        samples=shortened(result.samples(config.generate_samples)),
        task="generation" if result.trained.labels is None else "classification",
        generated_rows=sum(row.answer is not None for row in result.trained.results),
        metrics=metrics,
        base_metrics=base,
        confusion=shown(result.trained.confusion()),
        base_confusion=shown(result.base.confusion()),
        model_path=training.model_path,
        report_path=str(report),
    )


def shown(confusion: Confusion | None) -> Confusion | None:
    """A matrix that a message has room for."""
    return confusion if confusion is not None and len(confusion.labels) <= _MOST_LABELS else None


def _report(result: EvaluationResult) -> bytes:
    """JSON Lines: each row with what both models did on it."""
    both = zip(result.rows, result.trained.results, result.base.results, strict=True)
    lines: list[Mapping[str, object]] = [
        {
            "prompt": row.prompt,
            "reference": row.completion,
            "answer": trained.answer,
            "base_answer": base.answer,
            "loss": trained.loss / trained.tokens,
            "base_loss": base.loss / base.tokens,
            "tokens": trained.tokens,
            "correct": trained.correct,
            "base_correct": base.correct,
        }
        for row, trained, base in both
    ]
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)


def shortened(samples: Sequence[Sample]) -> list[Sample]:
    texts = len(samples) * len(Sample.model_fields)
    most = min(_LONGEST_TEXT, _LONGEST_TOGETHER // max(1, texts))
    return [Sample(**{name: text[:most] for name, text in sample.model_dump().items()}) for sample in samples]
