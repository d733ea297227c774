"""Two models side by side: what sets them apart, and which is better by each metric."""

from collections.abc import Mapping
from typing import Any

from contracts.registry import Difference, Model, ModelComparison, ModelSummary

LOWER_IS_BETTER = ("loss", "perplexity")
"""What the names of metrics end in of which less is better; of all others more is."""


def lower_is_better(metric: str) -> bool:
    return metric.endswith(LOWER_IS_BETTER)


def compared(first: Model, second: Model, summaries: tuple[ModelSummary, ModelSummary]) -> ModelComparison:
    facts = ("base_model", "dataset_id", "exports", "tags", "chat_template", "run_id")
    return ModelComparison(
        models=summaries,
        metrics=[_metric(name, first, second) for name in dict.fromkeys((*first.metrics, *second.metrics))],
        training_config=_apart(first.training_config, second.training_config),
        other=_apart(*({name: getattr(model, name) for name in facts} for model in (first, second))),
    )


def _metric(name: str, first: Model, second: Model) -> Difference:
    one, other = first.metrics.get(name), second.metrics.get(name)
    if one is None or other is None:
        return Difference(name=name, values=(one, other))
    change = other - one
    better = None
    if change:
        better = second.model_id if (change < 0) == lower_is_better(name) else first.model_id
    return Difference(name=name, values=(one, other), change=change, better=better)


def _apart(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    names = dict.fromkeys((*first, *second))
    return [
        Difference(name=name, values=(first.get(name), second.get(name)))
        for name in names
        if first.get(name) != second.get(name)
    ]
