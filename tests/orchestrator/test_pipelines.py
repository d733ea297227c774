"""What a job must be like to be accepted, and what its agents are then told."""

from itertools import pairwise
from typing import Any

import pytest

from contracts.base import RefusalCode, Refused
from contracts.pipeline import PipelineConfig
from orchestrator.domain.pipelines import Plan, plan

DATASET = {"agent_name": "dataset", "agent_class": "DatasetAgent", "config": {"dataset_id": "ds_12345678"}}
PREPROCESSING = {"agent_name": "preprocessing", "agent_class": "PreprocessingAgent", "config": {"base_model": "tiny"}}
TRAINING = {"agent_name": "training", "agent_class": "TrainingAgent", "config": {"max_steps": 3}}


def planned(*nodes: dict[str, Any], edges: list[tuple[str, str]] | None = None, **global_config: Any) -> Plan:
    """The plan of `nodes`, one after another unless `edges` say otherwise."""
    names = [node["agent_name"] for node in nodes]
    pairs = list(pairwise(names)) if edges is None else edges
    definition = {
        "nodes": nodes,
        "edges": [{"from_agent": before, "to_agent": after} for before, after in pairs],
        "global_config": global_config,
    }
    return plan(PipelineConfig.model_validate(definition))


def refusal(*nodes: dict[str, Any], **others: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        planned(*nodes, **others)
    return refused.value


def node(agent_class: str, **config: Any) -> dict[str, Any]:
    return {"agent_name": agent_class.removesuffix("Agent").lower(), "agent_class": agent_class, "config": config}


def test_the_job_of_document_e_is_planned() -> None:
    job = planned(
        node("DatasetAgent", file_path="s3://datasets/training_data.csv", format="csv"),
        node("ValidationAgent"),
        node("PreprocessingAgent", base_model="meta-llama/Llama-2-7b-hf", template="alpaca"),
        max_retries=3,
    )
    assert [(step.name, step.needs, step.ancestors) for step in job.steps] == [
        ("dataset", (), ()),
        ("validation", (0,), (0,)),
        ("preprocessing", (1,), (1, 0)),
    ]
    assert job.max_attempts == 4
    assert not job.dataset_ids


def test_a_dataset_without_a_source_is_refused_as_document_e_shows_it() -> None:
    refused = refusal(node("DatasetAgent"))
    assert (refused.code, refused.message, refused.metadata) == (
        RefusalCode.INVALID,
        "Input validation failed for DatasetAgent",
        {"errors": [{"field": "file_path", "message": "field required"}]},
    )


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"file_path": "/etc/passwd"}, "file_path", "must have the form s3://bucket/key"),
        ({"dataset_id": "ds_1", "file_path": "s3://a/b"}, "config", "give file_path or dataset_id, not both"),
        ({"dataset_id": "ds_1", "colour": "red"}, "colour", "Extra inputs are not permitted"),
        ({"dataset_id": "ds_1", "format": "xls"}, "format", "Input should be 'csv'"),
    ],
)
def test_a_config_that_does_not_fit_names_the_field(config: dict[str, Any], field: str, message: str) -> None:
    refused = refusal(node("DatasetAgent", **config))
    (error,) = refused.metadata["errors"]
    assert (refused.code, error["field"]) == (RefusalCode.INVALID, field)
    assert error["message"].startswith(message)


def test_an_unknown_agent_class_is_refused_with_those_there_are() -> None:
    refused = refusal({"agent_name": "x", "agent_class": "MagicAgent"})
    assert refused.code is RefusalCode.CONFIG_INVALID
    assert "'MagicAgent'" in refused.message
    assert "TrainingAgent" in refused.message


@pytest.mark.parametrize(
    ("agent_class", "needed"),
    [
        ("ValidationAgent", "DatasetAgent"),
        ("PreprocessingAgent", "DatasetAgent"),
        ("TrainingAgent", "PreprocessingAgent"),
        ("EvaluationAgent", "TrainingAgent"),
        ("ExportAgent", "TrainingAgent"),
        ("RegistrationAgent", "ExportAgent"),
    ],
)
def test_an_agent_without_what_it_works_on_is_refused(agent_class: str, needed: str) -> None:
    refused = refusal(DATASET, node(agent_class), edges=[])
    assert refused.code is RefusalCode.CONFIG_INVALID
    assert f"needs a {needed} before it" in refused.message


def test_what_an_agent_works_on_may_come_long_before_it() -> None:
    names = [
        step.name
        for step in planned(
            DATASET,
            PREPROCESSING,
            TRAINING,
            node("EvaluationAgent"),
            node("ExportAgent"),
            node("RegistrationAgent"),
        ).steps
    ]
    assert names[-1] == "registration"


def test_gguf_is_exported_in_the_types_that_there_are() -> None:
    formats = ["adapter", "gguf"]
    asked = node("ExportAgent", formats=formats, quantization=["F16", "q8_0"])
    assert planned(DATASET, PREPROCESSING, TRAINING, asked).steps[-1].config["quantization"] == ["F16", "Q8_0"]
    refused = refusal(DATASET, PREPROCESSING, TRAINING, node("ExportAgent", formats=formats, quantization="Q2_K"))
    assert refused.code is RefusalCode.INVALID
    assert refused.metadata["errors"][0]["field"] == "quantization.0"


def test_what_was_taken_once_but_may_not_be_asked_for_is_refused_when_it_is_submitted() -> None:
    refused = refusal(DATASET, PREPROCESSING, node("TrainingAgent", max_steps=3_000_000_000, save_steps=10**9 + 1))
    assert [error["field"] for error in refused.metadata["errors"]] == ["max_steps", "save_steps"]
    for reference in ("https://huggingface.co/gpt2", "../models/gpt2"):
        for refused in (
            refusal(DATASET, base_model=reference),
            refusal(DATASET, node("PreprocessingAgent", base_model=reference)),
        ):
            (error,) = refused.metadata["errors"]
            assert (refused.code, error["field"].rpartition(".")[2]) == (RefusalCode.INVALID, "base_model")


def test_defaults_of_the_job_fill_what_its_agents_leave_open() -> None:
    job = planned(
        node("DatasetAgent"), node("PreprocessingAgent"), TRAINING, dataset_id="ds_12345678", base_model="tiny"
    )
    assert [step.config.get("base_model") for step in job.steps] == [None, "tiny", "tiny"]
    assert job.steps[0].config["dataset_id"] == "ds_12345678"
    assert job.dataset_ids == {"ds_12345678"}


def test_a_default_data_set_gives_way_to_a_file() -> None:
    job = planned(node("DatasetAgent", file_path="s3://datasets/a.csv"), dataset_id="ds_12345678")
    assert job.steps[0].config["dataset_id"] is None
    assert not job.dataset_ids


def test_training_starts_from_the_model_that_its_examples_were_prepared_for() -> None:
    job = planned(DATASET, PREPROCESSING, TRAINING, base_model="other")
    assert job.steps[2].config["base_model"] == "tiny"


def test_without_any_base_model_the_job_is_refused() -> None:
    refused = refusal(DATASET, node("PreprocessingAgent"))
    assert refused.code is RefusalCode.CONFIG_INVALID
    assert "needs a base_model" in refused.message


def test_an_agent_is_told_its_whole_configuration() -> None:
    config = planned(DATASET, PREPROCESSING, TRAINING).steps[2].config
    assert (config["max_steps"], config["lora_r"], config["method"]) == (3, 16, "lora")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"template_mapping": {"a": "b\0"}}, "pipeline_config.nodes.1.config.template_mapping.a"),
        ({"seed": 10**30}, "pipeline_config.nodes.1.config.seed"),
        ({"eval_ratio": float("nan")}, "pipeline_config.nodes.1.config.eval_ratio"),
    ],
)
def test_what_cannot_be_kept_as_it_is_is_refused(config: dict[str, Any], field: str) -> None:
    refused = refusal(DATASET, node("PreprocessingAgent", base_model="tiny", **config))
    assert refused.code is RefusalCode.INVALID
    assert refused.metadata["errors"][0]["field"] == field
