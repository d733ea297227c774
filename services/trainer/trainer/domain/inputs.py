"""What an agent finds among the outputs of its ancestors."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import ClaimedStep
from contracts.pipeline import (
    AgentConfig,
    AgentOutput,
    ComparisonOutput,
    DatasetOutput,
    EvaluationOutput,
    ExportOutput,
    PreprocessingOutput,
    TrainingOutput,
)

OutputT = TypeVar("OutputT", bound=AgentOutput)

USES: Mapping[str, tuple[type[AgentOutput], ...]] = {
    "DatasetAgent": (),
    "ValidationAgent": (DatasetOutput,),
    "PreprocessingAgent": (DatasetOutput,),
    "TrainingAgent": (PreprocessingOutput,),
    "EvaluationAgent": (PreprocessingOutput, TrainingOutput),
    "ComparisonAgent": (PreprocessingOutput, TrainingOutput),
    "ExportAgent": (PreprocessingOutput, TrainingOutput),
    "RegistrationAgent": (DatasetOutput, PreprocessingOutput, TrainingOutput, EvaluationOutput, ExportOutput),
}
"""The outputs that each agent class reads; all others say nothing about what it will do."""


def find(step: ClaimedStep, kind: type[OutputT]) -> OutputT | None:
    """The nearest ancestor's output of that kind; after a comparison, of what was trained that of the best.

    For an agent that works on a trained model, the rows are those that it learnt, and the data is what those are of.

    Raises `Refused(CONFIG_INVALID)` when the best of a comparison was not trained in this job.
    """
    outputs = [output for output in step.inputs if isinstance(output, kind)]
    uses = USES.get(step.agent_class, ())
    if step.agent_class == "ComparisonAgent":
        pass  # it looks at all branches
    elif kind in (TrainingOutput, EvaluationOutput):
        outputs = _of_the_best(step, outputs)
    elif kind is PreprocessingOutput and TrainingOutput in uses:
        training = find(step, TrainingOutput)
        outputs = _at(training.rows_path if training else None, "train_path", outputs)
    elif kind is DatasetOutput and PreprocessingOutput in uses:
        rows = find(step, PreprocessingOutput)
        outputs = _at(rows.data_path if rows else None, "s3_path", outputs)
    return next(iter(outputs), None)


def _of_the_best(step: ClaimedStep, outputs: list[OutputT]) -> list[OutputT]:
    compared = next((output for output in step.inputs if isinstance(output, ComparisonOutput)), None)
    if compared is None:
        return outputs
    if compared.best_model_path is None:
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            f"The best of the compared models is {compared.best}, which was not trained in this job:"
            f" there is nothing for {step.agent_class} to do",
        )
    return [output for output in outputs if getattr(output, "model_path", None) == compared.best_model_path]


def _at(path: str | None, field: str, outputs: list[OutputT]) -> list[OutputT]:
    """Those that lie at `path`; all where that is unknown, as it is of what earlier versions made."""
    return [output for output in outputs if getattr(output, field) == path] or outputs


def as_of(step: ClaimedStep, output: AgentOutput) -> AgentOutput:
    """An earlier result from equal content, as `step` would have told it: made of what its own ancestors made."""
    match output:
        case PreprocessingOutput():
            return output.model_copy(update={"data_path": need(step, DatasetOutput).s3_path})
        case TrainingOutput():
            return output.model_copy(update={"rows_path": need(step, PreprocessingOutput).train_path})
        case EvaluationOutput():
            return output.model_copy(update={"model_path": need(step, TrainingOutput).model_path})
    return output


def need(step: ClaimedStep, kind: type[OutputT]) -> OutputT:
    """As `find`. Raises `Refused(CONFIG_INVALID)` when no ancestor made one."""
    found = find(step, kind)
    if found is None:
        maker = kind.model_fields["kind"].default
        article = "an" if maker.startswith(("A", "E", "I", "O", "U")) else "a"
        raise Refused(RefusalCode.CONFIG_INVALID, f"{step.agent_class} needs {article} {maker} before it")
    return found


def used(step: ClaimedStep) -> list[AgentOutput]:
    """The outputs that decide what the step's agent makes, in a fixed order."""
    found: Iterable[AgentOutput | None] = (find(step, kind) for kind in USES.get(step.agent_class, ()))
    return [output for output in found if output is not None]


def base_models(config: AgentConfig, inputs: Iterable[AgentOutput]) -> list[str]:
    """References of the models that a step reads."""
    references = [getattr(part, "base_model", None) for part in (config, *inputs)]
    return sorted({reference for reference in references if reference is not None})
