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

    Raises `Refused(CONFIG_INVALID)` when the best of a comparison was not trained in this job.
    """
    outputs = [output for output in step.inputs if isinstance(output, kind)]
    compared = next((output for output in step.inputs if isinstance(output, ComparisonOutput)), None)
    if compared is not None and kind in (TrainingOutput, EvaluationOutput) and step.agent_class != "ComparisonAgent":
        if compared.best_model_path is None:
            raise Refused(
                RefusalCode.CONFIG_INVALID,
                f"The best of the compared models is {compared.best}, which was not trained in this job:"
                f" there is nothing for {step.agent_class} to do",
            )
        outputs = [output for output in outputs if getattr(output, "model_path", None) == compared.best_model_path]
    return next(iter(outputs), None)


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
