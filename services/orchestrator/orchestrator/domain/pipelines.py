"""Turns the definition of a job into the steps it runs as, or says why it cannot run, before anything starts."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from contracts.base import RefusalCode, Refused
from contracts.pipeline import (
    AGENT_CONFIGS,
    AgentConfig,
    ComparisonConfig,
    DatasetConfig,
    GlobalConfig,
    Node,
    PipelineConfig,
    PreprocessingConfig,
    TrainingConfig,
)
from orchestrator.domain.admission import check_defaults, unfit
from orchestrator.domain.graph import graph
from orchestrator.domain.storable import unstorable
from orchestrator.domain.sweeps import expanded

_NEEDS: Mapping[str, str] = {
    "ValidationAgent": "DatasetAgent",
    "PreprocessingAgent": "DatasetAgent",
    "TrainingAgent": "PreprocessingAgent",
    "EvaluationAgent": "TrainingAgent",
    "ComparisonAgent": "PreprocessingAgent",
    "ExportAgent": "TrainingAgent",
    "RegistrationAgent": "ExportAgent",
}
"""Whose output an agent cannot do without: one such must come before it, directly or not."""

_OBJECT = re.compile(r"s3://[^/\s]+/.+")


@dataclass(frozen=True)
class PlannedStep:
    """A step to be. `config` is complete; `needs` and `ancestors` are positions, the latter nearest first.

    `max_attempts` and `timeout_seconds` stand over those of the plan. One with `approval` waits for a person. One with
    an `output` has been done by an earlier run, and so have all its ancestors; `kept_parts` is what that did of a step
    that it split and did not complete.
    """

    name: str
    kind: str
    config: dict[str, Any]
    needs: tuple[int, ...]
    ancestors: tuple[int, ...]
    max_attempts: int | None = None
    timeout_seconds: float | None = None
    approval: bool = False
    output: dict[str, Any] | None = None
    kept_parts: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Plan:
    """The steps of a run in the order of its definition, each tried `max_attempts` times at most and given
    `timeout_seconds` each time. `dataset_ids` are the uploads that the run reads, `models` the registered models."""

    steps: tuple[PlannedStep, ...]
    max_attempts: int
    timeout_seconds: float
    dataset_ids: frozenset[str]
    models: frozenset[str] = frozenset()


def plan(definition: PipelineConfig, kept: Mapping[str, dict[str, Any]] = MappingProxyType({})) -> Plan:
    """Checks `definition` whole. `kept` are outputs of agents that need not be done again, by name.

    Raises `Refused(INVALID)`, as document E shows it, when the configuration of an agent does not fit; and
    `Refused(CONFIG_INVALID)` when the agents do not fit together.
    """
    if errors := list(unstorable(definition.model_dump(), "pipeline_config")):
        raise Refused(RefusalCode.INVALID, "Input validation failed", {"errors": errors})
    check_defaults(definition.global_config)
    whole = expanded(definition)
    nodes = whole.nodes
    _check_classes(nodes)
    shape = graph([node.agent_name for node in nodes], [(edge.from_agent, edge.to_agent) for edge in whole.edges])
    ancestors = [shape.ancestors(position) for position in range(len(nodes))]
    _check_order(nodes, ancestors)
    configs = _configs(nodes, definition.global_config, ancestors)
    return Plan(
        steps=tuple(
            PlannedStep(
                node.agent_name,
                node.agent_class,
                config.model_dump(mode="json"),
                needs,
                before,
                output=kept.get(node.agent_name),
            )
            for node, config, needs, before in zip(nodes, configs, shape.needs, ancestors, strict=True)
        ),
        max_attempts=definition.global_config.max_retries + 1,
        timeout_seconds=definition.global_config.step_timeout_seconds,
        dataset_ids=frozenset(
            config.dataset_id
            for node, config in zip(nodes, configs, strict=True)
            if isinstance(config, DatasetConfig) and config.dataset_id and node.agent_name not in kept
        ),
        models=frozenset(
            model
            for node, config in zip(nodes, configs, strict=True)
            if isinstance(config, ComparisonConfig) and node.agent_name not in kept
            for model in config.models
        ),
    )


def _check_classes(nodes: Iterable[Node]) -> None:
    for node in nodes:
        if node.agent_class not in AGENT_CONFIGS:
            raise _misfit(
                node,
                f"The agent {node.agent_name!r} has the unknown agent_class {node.agent_class!r};"
                f" there are {', '.join(AGENT_CONFIGS)}",
                agent_class=node.agent_class,
            )


def _check_order(nodes: Sequence[Node], ancestors: Sequence[tuple[int, ...]]) -> None:
    for node, before in zip(nodes, ancestors, strict=True):
        needed = _NEEDS.get(node.agent_class)
        if needed is not None and needed not in {nodes[position].agent_class for position in before}:
            raise _misfit(
                node,
                f"The {node.agent_class} {node.agent_name!r} needs a {needed} before it: add one and an edge from it",
                needs=needed,
            )


def _configs(nodes: Sequence[Node], defaults: GlobalConfig, ancestors: Sequence[tuple[int, ...]]) -> list[AgentConfig]:
    """The configuration of each agent, checked, and complete with what its ancestors and the job say."""
    configs = [_with_defaults(node, _checked(node), defaults) for node in nodes]
    return [
        _with_prepared_model(node, config, [configs[position] for position in before], defaults)
        for node, config, before in zip(nodes, configs, ancestors, strict=True)
    ]


def _checked(node: Node) -> AgentConfig:
    try:
        config = AGENT_CONFIGS[node.agent_class].model_validate(node.config)
    except ValidationError as error:
        raise _unfit_config(node, _field_errors(error)) from None
    if errors := list(unfit(config)):
        raise _unfit_config(node, errors)
    return config


def _with_defaults(node: Node, config: AgentConfig, defaults: GlobalConfig) -> AgentConfig:
    if isinstance(config, DatasetConfig):
        return _with_source(node, config, defaults.dataset_id)
    if isinstance(config, PreprocessingConfig) and config.base_model is None:
        return config.model_copy(update={"base_model": _needed_model(node, defaults.base_model)})
    return config


def _with_source(node: Node, config: DatasetConfig, dataset_id: str | None) -> DatasetConfig:
    if config.dataset_id is not None:
        return config
    if config.file_path is not None:
        if not _OBJECT.fullmatch(config.file_path):
            raise _unfit_config(node, [{"field": "file_path", "message": "must have the form s3://bucket/key"}])
        return config
    if dataset_id is None:
        raise _unfit_config(node, [{"field": "file_path", "message": "field required"}])
    return config.model_copy(update={"dataset_id": dataset_id})


def _with_prepared_model(
    node: Node, config: AgentConfig, before: Iterable[AgentConfig], defaults: GlobalConfig
) -> AgentConfig:
    """Training starts from the model that its examples were prepared for, unless it names another."""
    if not isinstance(config, TrainingConfig) or config.base_model is not None:
        return config
    prepared = (other.base_model for other in before if isinstance(other, PreprocessingConfig))
    return config.model_copy(update={"base_model": _needed_model(node, next(prepared, defaults.base_model))})


def _needed_model(node: Node, base_model: str | None) -> str:
    if base_model is None:
        message = f"The {node.agent_class} {node.agent_name!r} needs a base_model, in its config or in global_config"
        raise _misfit(node, message, field="base_model")
    return base_model


def _misfit(node: Node, message: str, **metadata: str) -> Refused:
    return Refused(RefusalCode.CONFIG_INVALID, message, {"agent": node.agent_name, **metadata})


def _unfit_config(node: Node, errors: list[dict[str, str]]) -> Refused:
    return Refused(RefusalCode.INVALID, f"Input validation failed for {node.agent_class}", {"errors": errors})


def _field_errors(error: ValidationError) -> list[dict[str, str]]:
    return [
        {
            "field": ".".join(str(part) for part in detail["loc"]) or "config",
            # Document E writes this one in lower case.
            "message": "field required" if detail["type"] == "missing" else detail["msg"].removeprefix("Value error, "),
        }
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    ]
