"""ValidationAgent: keeps a report, warns of what is odd, and stops a job whose data breaks its rules."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from common.objects import Objects, S3Path
from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetOutput
from trainer.agents import dataset as dataset_agent
from trainer.agents import validation as validation_agent

Make = Callable[..., Any]


@pytest.fixture
def table(make_step: Make, assign: Make, put_dataset: Make) -> Callable[[str], DatasetOutput]:
    def ingest(content: str) -> DatasetOutput:
        return dataset_agent.run(assign(make_step("DatasetAgent", {"file_path": put_dataset(content)})))

    return ingest


def test_good_data_passes_with_a_report(
    make_step: Make, assign: Make, table: Make, objects: Objects, run_id: str, journal: Any
) -> None:
    output = validation_agent.run(assign(make_step("ValidationAgent", {}, [table("a,b\nx,y\nx,y\nu,v\n")])))
    assert output.rows == 3
    assert [(finding.rule, finding.severity) for finding in output.findings] == [("duplicates", "warning")]
    assert output.report_path == f"s3://artifacts/{run_id}/validation/report.json"
    report = json.loads(objects.get_bytes(S3Path.parse(output.report_path)))
    assert (report["rows"], report["columns"]) == (3, ["a", "b"])
    assert report["findings"][0]["examples"] == [1]
    assert "duplicates" in journal.text("WARN")


def test_broken_rules_fail_the_job_and_name_the_rows(
    make_step: Make, assign: Make, table: Make, objects: Objects, run_id: str, journal: Any
) -> None:
    config = {"required_columns": ["b"], "min_length": 2}
    step = make_step("ValidationAgent", config, [table("a,b\nlong enough,\nx,y\n,z\n")])
    with pytest.raises(Refused) as refused:
        validation_agent.run(assign(step))
    assert refused.value.code is RefusalCode.INVALID
    errors = refused.value.metadata["errors"]
    assert [(error["field"], error["rows"], error["examples"]) for error in errors] == [
        ("missing", 1, [0]),
        ("min_length", 1, [2]),
    ]
    assert [error["row_numbers"] for error in errors] == [[0], [2]]
    assert "'b'" in refused.value.message
    report = json.loads(objects.get_bytes(S3Path("artifacts", f"{run_id}/validation/report.json")))
    assert [finding["severity"] for finding in report["findings"]][:2] == ["error", "error"]
    assert "first rows: 0" in journal.text("ERROR")


def test_without_a_data_set_before_it_it_says_what_is_missing(make_step: Make, assign: Make) -> None:
    with pytest.raises(Refused, match="ValidationAgent needs a DatasetAgent before it") as refused:
        validation_agent.run(assign(make_step("ValidationAgent")))
    assert refused.value.code is RefusalCode.CONFIG_INVALID
