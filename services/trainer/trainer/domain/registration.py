"""What the registry is told of a trained model."""

import math
from typing import Any

from contracts.orchestrator import ClaimedStep
from contracts.pipeline import (
    ComparisonOutput,
    DatasetOutput,
    EvaluationOutput,
    ExportOutput,
    PreprocessingOutput,
    RegistrationConfig,
    TrainingOutput,
    ValidationOutput,
)
from contracts.registry import LineageStep, RegisterModel
from trainer.domain.content import STATISTICS
from trainer.domain.inputs import find, need


def registration_of(step: ClaimedStep, config: RegistrationConfig) -> RegisterModel:
    """Raises `Refused(CONFIG_INVALID)` when nothing was trained or exported before.

    The key is of run and agent, never of attempt, so a repeated registration finds the model of the first.
    """
    training = need(step, TrainingOutput)
    exported = need(step, ExportOutput)
    dataset = find(step, DatasetOutput)
    rows = find(step, PreprocessingOutput)
    return RegisterModel(
        idempotency_key=f"{step.run_id}/{step.agent_name}",
        run_id=step.run_id,
        model_name=config.model_name or step.run_id,
        description=config.description,
        base_model=training.base_model,
        dataset_id=dataset.dataset_id if dataset else None,
        training_config=_history_of(training),
        metrics=metrics_of(training, find(step, EvaluationOutput)),
        exports=exported.exports,
        chat_template=rows.chat_template if rows else None,
        tags=config.tags,
        aliases=config.aliases,
        deploy=config.deploy,
        files=exported.files,
        checks=exported.checks,
        lineage=lineage_of(step, exported, training),
    )


def _history_of(training: TrainingOutput) -> dict[str, Any]:
    """The configuration, and where people changed the learning rate meanwhile, what they made of it."""
    changes = [change.model_dump(mode="json") for change in training.learning_rate_changes]
    return training.config.model_dump(mode="json") | ({"learning_rate_changes": changes} if changes else {})


def lineage_of(step: ClaimedStep, exported: ExportOutput, training: TrainingOutput) -> list[LineageStep]:
    """From what was exported back to the data, each with where it lies and what tells it apart.

    All that holds text of the data is named, since what is named here goes with the model.
    """
    steps = [LineageStep(kind="export", name=name, path=path) for name, path in exported.exports.items()]
    if (evaluation := find(step, EvaluationOutput)) is not None:
        details = {"rows": evaluation.rows, "metrics": dict(evaluation.metrics)}
        steps.append(LineageStep(kind="evaluation", name=evaluation.kind, path=evaluation.report_path, details=details))
    trained: dict[str, Any] = {"method": training.method, "base_model": training.base_model, "steps": training.steps}
    trained |= {"tokens": training.tokens, "seconds": training.seconds}
    trained |= _reports(step, ComparisonOutput, "comparison_paths")
    steps.append(LineageStep(kind="training", name=training.kind, path=training.model_path, details=trained))
    if (rows := find(step, PreprocessingOutput)) is not None:
        prepared: dict[str, Any] = {
            "template": rows.template,
            "eval_path": rows.eval_path,
            "tokens_path": rows.tokens_path,
            "statistics_path": f"{rows.train_path.rpartition('/')[0]}/{STATISTICS}",
        }
        prepared |= {"train_rows": rows.train_rows, "eval_rows": rows.eval_rows, "dropped_rows": rows.dropped_rows}
        steps.append(LineageStep(kind="preprocessing", name=rows.kind, path=rows.train_path, details=prepared))
    if (data := find(step, DatasetOutput)) is not None:
        read: dict[str, Any] = {"dataset_id": data.dataset_id, "rows": data.rows}
        read |= {"sha256": data.sha256, "format": data.format}
        read |= _reports(step, ValidationOutput, "validation_paths")
        steps.append(LineageStep(kind="dataset", name=data.kind, path=data.s3_path, details=read))
    return steps


def _reports(
    step: ClaimedStep, kind: type[ComparisonOutput] | type[ValidationOutput], name: str
) -> dict[str, list[str]]:
    paths = [output.report_path for output in step.inputs if isinstance(output, kind)]
    return {name: paths} if paths else {}


def metrics_of(training: TrainingOutput, evaluation: EvaluationOutput | None) -> dict[str, float]:
    """The finite numbers that tell how good the model is; losses are nats a token."""
    metrics = {"first_loss": training.first_loss, "final_loss": training.final_loss}
    if evaluation is not None:
        metrics |= {
            "eval_loss": evaluation.loss,
            "perplexity": evaluation.perplexity,
            "token_accuracy": evaluation.token_accuracy,
            "base_loss": evaluation.base_loss,
            "base_perplexity": evaluation.base_perplexity,
            "base_token_accuracy": evaluation.base_token_accuracy,
        }
        # What was measured on answers, by the names that document E has.
        known = ("loss", "perplexity", "token_accuracy")
        metrics |= {name: value for name, value in evaluation.metrics.items() if name not in known}
        metrics |= {f"base_{name}": value for name, value in evaluation.base_metrics.items() if name not in known}
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
