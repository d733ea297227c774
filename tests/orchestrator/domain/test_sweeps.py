"""Sweeps as the jobs that they become."""

from itertools import pairwise
from typing import Any

import pytest

from contracts.base import RefusalCode, Refused
from contracts.pipeline import PipelineConfig
from orchestrator.domain.pipelines import plan
from orchestrator.domain.sweeps import applied, expanded


def job(sweep: dict[str, Any], *, join: bool = False, **config: Any) -> PipelineConfig:
    """A pipeline whose training tries values, with a comparison before its export or without."""
    kinds = [
        ("dataset", "DatasetAgent", {"dataset_id": "ds_1"}),
        ("preprocessing", "PreprocessingAgent", {"base_model": "m"}),
        ("training", "TrainingAgent", config),
        ("evaluation", "EvaluationAgent", {}),
        *([("comparison", "ComparisonAgent", {})] if join else []),
        ("export", "ExportAgent", {}),
        ("registration", "RegistrationAgent", {"model_name": "castles"}),
    ]
    names = [name for name, _, _ in kinds]
    return PipelineConfig.model_validate(
        {
            "nodes": [
                {
                    "agent_name": name,
                    "agent_class": kind,
                    "config": given,
                    "sweep": sweep if name == "training" else {},
                }
                for name, kind, given in kinds
            ],
            "edges": [{"from_agent": a, "to_agent": b} for a, b in pairwise(names)],
        }
    )


def edges(definition: PipelineConfig) -> set[tuple[str, str]]:
    return {(edge.from_agent, edge.to_agent) for edge in expanded(definition).edges}


def test_a_sweep_branches_into_every_combination_and_all_that_follows() -> None:
    made = expanded(job({"learning_rate": [1e-4, 2e-4], "lora_r": [8, 16]}, epochs=1))
    configs = {node.agent_name: node.config for node in made.nodes}
    assert [name for name in configs if name.startswith("training")] == [f"training-{n}" for n in (1, 2, 3, 4)]
    assert configs["training-3"] == {"epochs": 1, "learning_rate": 2e-4, "lora_r": 8}
    assert made.tried["evaluation-4"] == {"learning_rate": 2e-4, "lora_r": 16}
    assert [configs[f"registration-{n}"]["model_name"] for n in (1, 4)] == ["castles-1", "castles-4"]
    assert len(made.nodes) == 2 + 4 * 4
    # It can run as it stands.
    steps = plan(job({"learning_rate": [1e-4, 2e-4]})).steps
    assert [step.config["learning_rate"] for step in steps if step.kind == "TrainingAgent"] == [1e-4, 2e-4]


def test_a_comparison_joins_the_branches() -> None:
    assert edges(job({"seed": [1, 2]}, join=True)) == {
        ("dataset", "preprocessing"),
        ("preprocessing", "training-1"),
        ("preprocessing", "training-2"),
        ("training-1", "evaluation-1"),
        ("training-2", "evaluation-2"),
        ("evaluation-1", "comparison"),
        ("evaluation-2", "comparison"),
        ("comparison", "export"),
        ("export", "registration"),
    }


def test_the_best_of_a_sweep_is_exported_and_registered_once() -> None:
    planned = plan(job({"seed": [1, 2]}, join=True))
    names = [step.name for step in planned.steps]
    before = [names[position] for position in planned.steps[names.index("comparison")].ancestors]
    assert {"training-1", "training-2", "preprocessing"} <= set(before)
    assert names[-2:] == ["export", "registration"]


def test_sweeps_within_each_other_multiply() -> None:
    config = job({"seed": [1, 2]})
    nodes = [
        node.model_copy(update={"sweep": {"eval_ratio": [0.1, 0.2, 0.3]}})
        if node.agent_name == "preprocessing"
        else node
        for node in config.nodes
    ]
    made = expanded(config.model_copy(update={"nodes": nodes}))
    assert sum(node.agent_class == "TrainingAgent" for node in made.nodes) == 6
    assert made.tried["training-3-2"] == {"eval_ratio": 0.3, "seed": 2}


@pytest.mark.parametrize(
    ("sweep", "config", "words"),
    [
        ({"seed": list(range(60))}, {}, "200 are allowed"),
        ({"seed": list(range(100)), "lora_r": list(range(1, 101)), "epochs": [1] * 100}, {}, "200 are allowed"),
        ({"seed": [1, 2]}, {"seed": 3}, "both in its config and in its sweep"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(sweep: dict[str, Any], config: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        expanded(job(sweep, **config))
    assert refusal.value.code is RefusalCode.CONFIG_INVALID


def test_a_value_that_does_not_fit_is_refused_by_its_field() -> None:
    with pytest.raises(Refused) as refusal:
        plan(job({"learning_rate": [1e-4, "fast"]}))
    assert refusal.value.metadata["errors"][0]["field"] == "learning_rate"


def test_a_cycle_within_a_sweep_ends_in_a_refusal() -> None:
    config = job({"seed": [1, 2]})
    back = {"from_agent": "evaluation", "to_agent": "training"}
    looped = PipelineConfig.model_validate(config.model_dump() | {"edges": [*config.model_dump()["edges"], back]})
    with pytest.raises(Refused, match="cycle"):
        plan(looped)


def test_configurations_are_laid_over_those_of_the_nodes() -> None:
    nodes = applied(job({}, seed=1, epochs=2).nodes, {"training": {"seed": 5}})
    assert {node.agent_name: node.config for node in nodes}["training"] == {"seed": 5, "epochs": 2}
    with pytest.raises(Refused, match="no agent of this job"):
        applied(nodes, {"trainer": {}})
