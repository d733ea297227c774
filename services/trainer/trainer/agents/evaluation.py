"""EvaluationAgent: measures the trained model beside its base on the rows that training never saw."""

from contracts.pipeline import EvaluationConfig, EvaluationOutput, PreprocessingOutput, Sample, TrainingOutput
from trainer.agents.assignment import Assignment
from trainer.domain.configuration import config_of
from trainer.domain.inputs import need
from trainer.engine.evaluation import evaluate
from trainer.engine.models import resolve_model

_LONGEST_TEXT = 2000
"""Characters of a sample's text that travel on; messages between services are bounded, and a person reads these."""


def run(work: Assignment) -> EvaluationOutput:
    """Raises `Refused`: CONFIG_INVALID, DATASET_INVALID, STORAGE_FAILED."""
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
    work.progress.log(
        "INFO",
        f"Evaluation finished: perplexity {result.base.perplexity:.2f} → {result.trained.perplexity:.2f}"
        f" over {result.rows} rows",
    )
    return EvaluationOutput(
        rows=result.rows,
        tokens=result.trained.tokens,
        loss=result.trained.loss,
        perplexity=result.trained.perplexity,
        token_accuracy=result.trained.token_accuracy,
        base_loss=result.base.loss,
        base_perplexity=result.base.perplexity,
        base_token_accuracy=result.base.token_accuracy,
        samples=[_shortened(sample) for sample in result.samples],
    )


def _shortened(sample: Sample) -> Sample:
    return Sample(**{name: text[:_LONGEST_TEXT] for name, text in sample.model_dump().items()})
