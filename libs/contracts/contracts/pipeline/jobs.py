"""A pipeline job as a caller writes it: a DAG of agents."""

from typing import Annotated, Any

from pydantic import Field

from contracts.base import Message
from contracts.pipeline.data import (
    DatasetConfig,
    DatasetOutput,
    PreprocessingConfig,
    PreprocessingOutput,
    ValidationConfig,
    ValidationOutput,
)
from contracts.pipeline.models import (
    ComparisonConfig,
    ComparisonOutput,
    EvaluationConfig,
    EvaluationOutput,
    ExportConfig,
    ExportOutput,
    RegistrationConfig,
    RegistrationOutput,
)
from contracts.pipeline.names import ModelReference, Name
from contracts.pipeline.training import TrainingConfig, TrainingOutput


class GlobalConfig(Message):
    """What holds for every agent of a job. `base_model` and `dataset_id` are defaults for agents that name none.

    Without `use_cache` every agent does its work, also where nothing has changed since an earlier run.
    """

    max_retries: int = Field(default=3, ge=0, le=20)
    base_model: ModelReference | None = None
    dataset_id: str | None = None
    step_timeout_seconds: float = Field(default=24 * 3600, gt=0, le=30 * 24 * 3600)
    use_cache: bool = True


AgentConfig = (
    DatasetConfig
    | ValidationConfig
    | PreprocessingConfig
    | TrainingConfig
    | EvaluationConfig
    | ComparisonConfig
    | ExportConfig
    | RegistrationConfig
)

AGENT_CONFIGS: dict[str, type[AgentConfig]] = {
    "DatasetAgent": DatasetConfig,
    "ValidationAgent": ValidationConfig,
    "PreprocessingAgent": PreprocessingConfig,
    "TrainingAgent": TrainingConfig,
    "EvaluationAgent": EvaluationConfig,
    "ComparisonAgent": ComparisonConfig,
    "ExportAgent": ExportConfig,
    "RegistrationAgent": RegistrationConfig,
}
"""The configuration each agent class takes; its keys are the agent classes there are."""


SweptField = Annotated[str, Field(min_length=1, max_length=64)]
SweptValues = Annotated[list[Any], Field(min_length=1, max_length=100)]


class Node(Message):
    """One agent of a job as a caller writes it; `config` is checked against `AGENT_CONFIGS[agent_class]`.

    With `sweep`, values to try for fields of its configuration, it becomes one agent for each combination of them, as
    `<agent_name>-1` and so on, and so does all that follows it, until a ComparisonAgent brings them together.
    """

    agent_name: Name
    agent_class: str = Field(max_length=64)
    config: dict[str, Any] = {}
    sweep: dict[SweptField, SweptValues] = Field(default={}, max_length=8)


class Edge(Message):
    """`to_agent` starts when `from_agent` has finished."""

    from_agent: str
    to_agent: str


class PipelineConfig(Message):
    """The DAG of a job, as document E writes it."""

    run_id: Name | None = None
    nodes: list[Node] = Field(min_length=1, max_length=200)
    edges: list[Edge] = Field(default=[], max_length=2000)
    global_config: GlobalConfig = GlobalConfig()


AgentOutput = Annotated[
    DatasetOutput
    | ValidationOutput
    | PreprocessingOutput
    | TrainingOutput
    | EvaluationOutput
    | ComparisonOutput
    | ExportOutput
    | RegistrationOutput,
    Field(discriminator="kind"),
]
