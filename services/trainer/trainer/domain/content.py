"""Content keys: two steps with the same key make the same output, so the second need not run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from contracts.pipeline import (
    AgentConfig,
    AgentOutput,
    ComparisonOutput,
    DatasetOutput,
    EvaluationOutput,
    ExportOutput,
    PreprocessingOutput,
    RegistrationOutput,
    TrainingOutput,
    ValidationOutput,
)

STATISTICS = "statistics.json"
"""Beside prepared rows: what was dropped, and how long those are that were not."""

_CIRCUMSTANCES = frozenset({"dataset_id", "data_path", "rows_path", "seconds", "resumed_from_step"})
"""Fields of an output that say how it came about, not what it is."""

_NEVER_CACHED = frozenset({"RegistrationAgent", "ComparisonAgent"})


def is_cacheable(agent_class: str) -> bool:
    """Whether a step's output depends on its content alone.

    Entering a model into the registry is an act, and what a comparison reads there by name may be another by now.
    """
    return agent_class not in _NEVER_CACHED


def paths_of(output: AgentOutput) -> list[str]:
    """The objects, and prefixes of objects, that an output consists of."""
    paths: list[str | None] = []
    match output:
        case DatasetOutput():
            paths = [output.s3_path]
        case ValidationOutput() | EvaluationOutput() | ComparisonOutput():
            paths = [output.report_path]
        case PreprocessingOutput():
            paths = [output.train_path, output.eval_path, output.tokens_path]
        case TrainingOutput():
            paths = [output.model_path]
        case ExportOutput():
            paths = [*output.exports.values()]
        case RegistrationOutput():
            pass
    return [path for path in paths if path is not None]


def content_key(
    agent_class: str,
    config: AgentConfig,
    inputs: Sequence[AgentOutput],
    objects: Mapping[str, str],
    models: Mapping[str, str],
    code: str,
) -> str:
    """The key of a step: SHA-256 over its agent, configuration, the content of all that it reads, and what does it.

    `objects` has the fingerprint of every path in `inputs`, so that it does not matter where equal content lies, and of
    the data set's source; `models` those of the models that it reads; `code` is that of the agents' program.
    """
    known = {path: objects[path] for output in inputs for path in paths_of(output)}
    parts = {
        "code": code,
        "agent_class": agent_class,
        "config": config.model_dump(mode="json"),
        "inputs": [_content(output.model_dump(mode="json"), known) for output in inputs],
        "sources": {path: mark for path, mark in objects.items() if path not in known},
        "models": dict(models),
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _content(value: Any, fingerprints: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return fingerprints.get(value, value)
    if isinstance(value, dict):
        return {name: _content(item, fingerprints) for name, item in value.items() if name not in _CIRCUMSTANCES}
    if isinstance(value, list):
        return [_content(item, fingerprints) for item in value]
    return value
