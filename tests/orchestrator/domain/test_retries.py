"""What a retry does again, and what it is called."""

from typing import Any

import pytest

from contracts.orchestrator import RetryJob
from contracts.pipeline import PipelineConfig
from orchestrator.domain.retries import definition, kept, next_run_id, root_of


def diamond() -> PipelineConfig:
    names = ["top", "left", "right", "bottom"]
    edges = [("top", "left"), ("top", "right"), ("left", "bottom"), ("right", "bottom")]
    return PipelineConfig.model_validate(
        {
            "run_id": "first",
            "nodes": [
                {"agent_name": name, "agent_class": "DatasetAgent", "config": {"format": "csv"}} for name in names
            ],
            "edges": [{"from_agent": before, "to_agent": after} for before, after in edges],
        }
    )


def retry(**fields: Any) -> RetryJob:
    return RetryJob(job_id="job_first", **fields)


@pytest.mark.parametrize(
    ("done", "fields", "expected"),
    [
        ("top left", {}, "top left"),
        ("top left right bottom", {}, ""),
        ("top left right bottom", {"from_agent": "left"}, "top right"),
        ("top left right bottom", {"configs": {"right": {"format": "tsv"}}}, "top left"),
        ("top left right bottom", {"from_agent": "bottom", "configs": {"left": {}}}, "top right"),
        # The output of an earlier version cannot be read: what was made of it is made again with it.
        ("left right", {}, ""),
    ],
)
def test_only_what_has_to_be_done_is_done_again(done: str, fields: dict[str, Any], expected: str) -> None:
    outputs = {name: {"rows": 1} for name in done.split()}
    assert set(kept(diamond(), outputs, retry(**fields))) == set(expected.split())


def test_configurations_are_laid_over_the_earlier_ones() -> None:
    made = definition(diamond(), retry(run_id="second", configs={"left": {"dataset_id": "ds_1"}}))
    assert made.run_id == "second"
    assert {node.agent_name: node.config for node in made.nodes}["left"] == {"format": "csv", "dataset_id": "ds_1"}


@pytest.mark.parametrize(
    ("run_id", "taken", "expected"),
    [
        ("abc", [], "abc-r2"),
        ("abc-r2", ["abc-r2"], "abc-r3"),
        ("abc", ["abc-r2", "abc-r10", "abc-rx", "abcd-r40"], "abc-r11"),
        ("a" * 64, [], "a" * 58 + "-r2"),
    ],
)
def test_retries_are_numbered(run_id: str, taken: list[str], expected: str) -> None:
    assert next_run_id(root_of(run_id), taken) == expected
