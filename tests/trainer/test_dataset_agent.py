"""DatasetAgent: from any source and format to one normalised table in the object store."""

import gzip
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
import zstandard

from common.objects import Objects, S3Path
from contracts.base import RefusalCode, Refused
from contracts.registry import Dataset, DatasetAnalysis
from trainer.agents import dataset as dataset_agent

Make = Callable[..., Any]


def _registered(s3_path: str) -> Dataset:
    analysis = DatasetAnalysis(
        rows=1, columns=["a"], column_types={}, text_column=None, stats=None, missing={}, duplicate_rows=0
    )
    return Dataset(
        dataset_id="ds_12345678",
        filename="data",
        format="tsv",
        size_bytes=1,
        sha256="",
        s3_path=s3_path,
        rows=1,
        columns=["a"],
        analysis=analysis,
        created_at=datetime.now(UTC),
    )


def test_an_object_becomes_a_parquet_table_of_the_run(
    make_step: Make, assign: Make, put_dataset: Make, objects: Objects, journal: Any, run_id: str
) -> None:
    content = "question,answer\nWhy?,Because.\nHow?,So.\n"
    output = dataset_agent.run(assign(make_step("DatasetAgent", {"file_path": put_dataset(content)})))
    assert output.s3_path == f"s3://artifacts/{run_id}/dataset/data.parquet"
    assert (output.rows, output.columns, output.format) == (2, ["question", "answer"], "csv")
    assert output.size_bytes == len(content)
    table = pl.read_parquet(io.BytesIO(objects.get_bytes(S3Path.parse(output.s3_path))))
    assert table.to_dicts() == [
        {"question": "Why?", "answer": "Because."},
        {"question": "How?", "answer": "So."},
    ]
    assert "Starting dataset ingestion" in journal.text("INFO")
    assert "Dataset loaded: 2 rows" in journal.text("INFO")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_compressed_file_is_read_as_what_it_holds(
    pack: Callable[[bytes], bytes], make_step: Make, assign: Make, put_dataset: Make
) -> None:
    path = put_dataset(pack(b"a,b\n1,2\n"), "data.csv.gz")
    output = dataset_agent.run(assign(make_step("DatasetAgent", {"file_path": path})))
    assert (output.format, output.rows, output.columns) == ("csv", 1, ["a", "b"])
    damaged = put_dataset(pack(b"a,b\n1,2\n")[:-5], "data.csv.gz")
    with pytest.raises(Refused, match="damaged"):
        dataset_agent.run(assign(make_step("DatasetAgent", {"file_path": damaged})))


def test_a_registered_data_set_is_read_as_the_registry_says(make_step: Make, assign: Make, put_dataset: Make) -> None:
    path = put_dataset("a\tb\n1,5\tx\n", "upload.bin")
    output = dataset_agent.run(assign(make_step("DatasetAgent", {"dataset_id": "ds_12345678"}), _registered(path)))
    assert (output.dataset_id, output.format, output.columns) == ("ds_12345678", "tsv", ["a", "b"])


def test_the_asked_format_wins(make_step: Make, assign: Make, put_dataset: Make) -> None:
    config = {"file_path": put_dataset("a,b\n1,2\n", "data.csv"), "format": "txt"}
    assert dataset_agent.run(assign(make_step("DatasetAgent", config))).columns == ["text"]


def test_equal_files_give_equal_tables(make_step: Make, assign: Make, put_dataset: Make, objects: Objects) -> None:
    content = "a,b\n" + "".join(f"{n},text {n}\n" for n in range(500))
    outputs = [
        dataset_agent.run(
            assign(make_step("DatasetAgent", {"file_path": put_dataset(content)}, agent_name=f"dataset{n}"))
        )
        for n in range(2)
    ]
    first, second = (objects.get_bytes(S3Path.parse(output.s3_path)) for output in outputs)
    assert first == second
    assert outputs[0].sha256 == outputs[1].sha256


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b\n1,2,3,4\n"])
def test_an_empty_or_broken_file_is_refused_for_good(
    make_step: Make, assign: Make, put_dataset: Make, content: str
) -> None:
    with pytest.raises(Refused) as refused:
        dataset_agent.run(assign(make_step("DatasetAgent", {"file_path": put_dataset(content)})))
    assert refused.value.code is RefusalCode.DATASET_INVALID


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({}, RefusalCode.CONFIG_INVALID),
        ({"file_path": "/etc/passwd"}, RefusalCode.CONFIG_INVALID),
        ({"file_path": "s3://datasets/../secrets"}, RefusalCode.CONFIG_INVALID),
        ({"file_path": "s3://../secrets"}, RefusalCode.CONFIG_INVALID),
        ({"file_path": "s3://No Bucket/rows.csv"}, RefusalCode.CONFIG_INVALID),
        ({"file_path": "s3://datasets/ds_nothing/there.csv"}, RefusalCode.NOT_FOUND),
        ({"file_path": 7}, RefusalCode.CONFIG_INVALID),
    ],
)
def test_a_source_that_is_none_is_refused(make_step: Make, assign: Make, config: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        dataset_agent.run(assign(make_step("DatasetAgent", config)))
    assert refused.value.code is code
