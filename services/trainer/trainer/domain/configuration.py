"""What an agent is told in effect: its own configuration over the job's defaults."""

from typing import TypeVar

from pydantic import ValidationError

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import ClaimedStep
from contracts.pipeline import AGENT_CONFIGS, AgentConfig, DatasetConfig, PreprocessingConfig

ConfigT = TypeVar("ConfigT", bound=AgentConfig)


def effective_config(step: ClaimedStep) -> AgentConfig:
    """The step's configuration with the defaults of `global_config`. Raises `Refused(CONFIG_INVALID)`."""
    kind = AGENT_CONFIGS.get(step.agent_class)
    if kind is None:
        raise Refused(RefusalCode.CONFIG_INVALID, f"There is no agent class {step.agent_class!r}")
    try:
        config = kind.model_validate(step.config)
    except ValidationError as error:
        errors = [
            {"field": ".".join(str(part) for part in e["loc"]), "message": e["msg"]}
            for e in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Refused(
            RefusalCode.CONFIG_INVALID, f"The configuration of {step.agent_class} is not valid", {"errors": errors}
        ) from None
    defaults = step.global_config
    if isinstance(config, PreprocessingConfig) and config.base_model is None:
        return config.model_copy(update={"base_model": defaults.base_model})
    if isinstance(config, DatasetConfig) and config.file_path is None and config.dataset_id is None:
        return config.model_copy(update={"dataset_id": defaults.dataset_id})
    return config


def config_of(step: ClaimedStep, kind: type[ConfigT]) -> ConfigT:
    """As `effective_config`, for an agent that knows which kind it takes."""
    config = effective_config(step)
    if not isinstance(config, kind):
        raise TypeError(f"{step.agent_class} takes {type(config).__name__}, not {kind.__name__}")
    return config
