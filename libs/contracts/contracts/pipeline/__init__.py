"""The agents of a pipeline job: what each is told (`…Config`), what it hands on (`…Output`), and why it failed.

Field names follow document E (`specs/E-pipeline-api.md`); where it is silent, those that users of PEFT and TRL know.
A configuration is checked when a job is submitted, so a job that cannot run is refused before anything starts.
"""

from contracts.pipeline.data import (
    DatasetConfig,
    DatasetOutput,
    PreprocessingConfig,
    PreprocessingOutput,
    RuleFinding,
    ValidationConfig,
    ValidationOutput,
)
from contracts.pipeline.jobs import AGENT_CONFIGS, AgentConfig, AgentOutput, Edge, GlobalConfig, Node, PipelineConfig
from contracts.pipeline.models import (
    EvaluationConfig,
    EvaluationOutput,
    ExportCheck,
    ExportConfig,
    ExportedFile,
    ExportOutput,
    RegistrationConfig,
    RegistrationOutput,
    Sample,
)
from contracts.pipeline.names import (
    SUFFIXES,
    DatasetFormat,
    ErrorCode,
    ExportFormat,
    GgufType,
    ModelReference,
    Name,
    Template,
    TrainingMethod,
)
from contracts.pipeline.training import TrainingConfig, TrainingOutput

__all__ = [
    "AGENT_CONFIGS",
    "SUFFIXES",
    "AgentConfig",
    "AgentOutput",
    "DatasetConfig",
    "DatasetFormat",
    "DatasetOutput",
    "Edge",
    "ErrorCode",
    "EvaluationConfig",
    "EvaluationOutput",
    "ExportCheck",
    "ExportConfig",
    "ExportFormat",
    "ExportOutput",
    "ExportedFile",
    "GgufType",
    "GlobalConfig",
    "ModelReference",
    "Name",
    "Node",
    "PipelineConfig",
    "PreprocessingConfig",
    "PreprocessingOutput",
    "RegistrationConfig",
    "RegistrationOutput",
    "RuleFinding",
    "Sample",
    "Template",
    "TrainingConfig",
    "TrainingMethod",
    "TrainingOutput",
    "ValidationConfig",
    "ValidationOutput",
]
