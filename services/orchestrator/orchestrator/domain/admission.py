"""What is checked of a job when it is submitted, and only then: what is kept is read back for ever, in the same types,
also where a version that took more has written it."""

from collections.abc import Iterator

from contracts.base import RefusalCode, Refused
from contracts.pipeline import (
    COUNTS_OF_STEPS,
    MOST_STEPS,
    NO_PLACE_ELSEWHERE,
    AgentConfig,
    GlobalConfig,
    PreprocessingConfig,
    TrainingConfig,
    lies_elsewhere,
)


def unfit(config: AgentConfig) -> Iterator[dict[str, str]]:
    """What of an agent's configuration nobody may ask for, as `{"field", "message"}`."""
    if not isinstance(config, PreprocessingConfig | TrainingConfig):
        return
    yield from _unfit_model(config.base_model, "base_model")
    if isinstance(config, TrainingConfig):
        for name in COUNTS_OF_STEPS:
            if (getattr(config, name) or 0) > MOST_STEPS:
                yield {"field": name, "message": f"must be at most {MOST_STEPS}"}


def check_defaults(defaults: GlobalConfig) -> None:
    """Raises `Refused(INVALID)` for what agents that say nothing themselves must not be told."""
    if errors := list(_unfit_model(defaults.base_model, "pipeline_config.global_config.base_model")):
        raise Refused(RefusalCode.INVALID, "Input validation failed", {"errors": errors})


def _unfit_model(reference: str | None, field: str) -> Iterator[dict[str, str]]:
    if reference is not None and lies_elsewhere(reference):
        yield {"field": field, "message": NO_PLACE_ELSEWHERE}
