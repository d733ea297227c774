"""What the registry is told of a trained model."""

import math

from contracts.orchestrator import ClaimedStep
from contracts.pipeline import (
    DatasetOutput,
    EvaluationOutput,
    ExportOutput,
    PreprocessingOutput,
    RegistrationConfig,
    TrainingOutput,
)
from contracts.registry import RegisterModel
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
        training_config=training.config.model_dump(mode="json"),
        metrics=metrics_of(training, find(step, EvaluationOutput)),
        exports=exported.exports,
        chat_template=rows.chat_template if rows else None,
    )


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
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
