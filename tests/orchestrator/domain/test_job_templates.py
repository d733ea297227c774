"""The usual jobs, written out."""

from typing import Any

import pytest

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import SubmitJob
from orchestrator.domain.job_templates import definition_of, listed
from orchestrator.domain.pipelines import plan


def submission(**fields: Any) -> SubmitJob:
    return SubmitJob.model_validate(fields)


def test_a_data_set_and_a_base_model_make_a_whole_pipeline() -> None:
    definition = definition_of(submission(template="finetune", dataset_id="ds_1", base_model="m"))
    planned = plan(definition)
    assert [step.kind.removesuffix("Agent") for step in planned.steps] == [
        "Dataset",
        "Validation",
        "Preprocessing",
        "Training",
        "Evaluation",
        "Export",
        "Registration",
    ]
    assert planned.dataset_ids == {"ds_1"}
    assert {step.config.get("base_model") for step in planned.steps} == {None, "m"}


def test_what_is_given_besides_reaches_its_agent() -> None:
    definition = definition_of(
        submission(
            template="finetune",
            file_path="s3://datasets/a.csv",
            base_model="m",
            model_name="castles",
            configs={"training": {"epochs": 1}, "export": {"formats": ["merged"]}},
            sweep={"training": {"learning_rate": [1e-4, 1e-5]}},
            run_id="mine",
            global_config={"max_retries": 0},
        )
    )
    nodes = {node.agent_name: node for node in definition.nodes}
    assert nodes["dataset"].config == {"file_path": "s3://datasets/a.csv"}
    assert nodes["registration"].config == {"model_name": "castles"}
    assert (nodes["training"].config, nodes["training"].sweep) == ({"epochs": 1}, {"learning_rate": [1e-4, 1e-5]})
    assert nodes["export"].config == {"formats": ["merged"]}
    assert (definition.run_id, definition.global_config.max_retries) == ("mine", 0)


@pytest.mark.parametrize("template", [one.template for one in listed()])
def test_every_template_can_run_with_what_it_says_that_it_needs(template: str) -> None:
    (said,) = [one for one in listed() if one.template == template]
    told = {"sweep": {"training": {"seed": [1, 2]}}, "models": ["model_x"]}
    given = {name: told.get(name, "x") for name in said.required}
    planned = plan(definition_of(submission(template=template, **given)))
    kinds = [step.kind for step in planned.steps]
    assert sorted(set(kinds), key=kinds.index) == [agent.agent_class for agent in said.agents]
    assert len(kinds) == len(said.agents) + (template == "sweep")


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({}, ["pipeline_config"]),
        ({"template": "finetune"}, ["dataset_id", "base_model"]),
        ({"template": "validate", "dataset_id": "d", "base_model": "m"}, ["base_model"]),
        ({"template": "validate", "dataset_id": "d", "sweep": {"training": {"seed": [1]}}}, ["sweep.training"]),
        (
            {"template": "validate", "pipeline_config": {"nodes": [{"agent_name": "a", "agent_class": "b"}]}},
            ["template"],
        ),
        ({"dataset_id": "d", "pipeline_config": {"nodes": [{"agent_name": "a", "agent_class": "b"}]}}, ["dataset_id"]),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(fields: dict[str, Any], blamed: list[str]) -> None:
    with pytest.raises(Refused) as refusal:
        definition_of(submission(**fields))
    assert refusal.value.code is RefusalCode.INVALID
    assert [error["field"] for error in refusal.value.metadata["errors"]] == blamed
