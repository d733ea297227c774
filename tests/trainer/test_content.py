"""Content keys: equal content gives an equal key wherever it lies, and any difference another."""

from typing import Any

from contracts.pipeline import (
    DatasetConfig,
    DatasetOutput,
    EvaluationOutput,
    ExportOutput,
    PreprocessingConfig,
    Sample,
)
from trainer.domain.content import content_key, is_cacheable, paths_of


def _dataset(path: str = "s3://artifacts/one/dataset/data.parquet", **changes: Any) -> DatasetOutput:
    fields: dict[str, Any] = {
        "dataset_id": "ds_1",
        "s3_path": path,
        "format": "csv",
        "rows": 2,
        "columns": ["a"],
        "size_bytes": 3,
        "sha256": "x",
    }
    return DatasetOutput(**{**fields, **changes})


def _key(
    dataset: DatasetOutput,
    config: PreprocessingConfig | None = None,
    *,
    mark: str = "content",
    model: str = "weights",
    code: str = "program",
) -> str:
    config = config or PreprocessingConfig(base_model="tiny")
    return content_key("PreprocessingAgent", config, [dataset], {dataset.s3_path: mark}, {"tiny": model}, code)


def test_it_does_not_matter_where_equal_content_lies_or_which_upload_brought_it() -> None:
    assert _key(_dataset()) == _key(_dataset("s3://artifacts/two/dataset/data.parquet", dataset_id="ds_2"))


def test_other_content_configuration_model_or_program_gives_another_key() -> None:
    keys = {
        _key(_dataset()),
        _key(_dataset(), mark="other content"),
        _key(_dataset(), PreprocessingConfig(base_model="tiny", seed=7)),
        _key(_dataset(), model="other weights"),
        _key(_dataset(), code="other program"),
        _key(_dataset(columns=["b"])),
    }
    assert len(keys) == 6


def test_a_data_sets_key_is_of_its_source() -> None:
    config = DatasetConfig(file_path="s3://datasets/a.csv")
    keys = {
        content_key("DatasetAgent", config, [], {"s3://datasets/a.csv": mark}, {}, "program") for mark in ("one", "two")
    }
    assert len(keys) == 2


def test_registration_is_an_act_and_never_cached() -> None:
    assert not is_cacheable("RegistrationAgent")
    assert is_cacheable("TrainingAgent")


def test_the_paths_of_an_output_are_its_own_and_not_those_in_texts() -> None:
    export = ExportOutput(
        exports={"adapter": "s3://artifacts/r/e/adapter", "merged": "s3://artifacts/r/e/merged"}, size_bytes=1
    )
    assert paths_of(export) == ["s3://artifacts/r/e/adapter", "s3://artifacts/r/e/merged"]
    sample = Sample(prompt="s3://not/a/path", reference="", base_answer="", answer="")
    evaluation = EvaluationOutput(
        rows=1,
        tokens=1,
        loss=1,
        perplexity=1,
        token_accuracy=1,
        base_loss=1,
        base_perplexity=1,
        base_token_accuracy=1,
        samples=[sample],
    )
    assert paths_of(evaluation) == []
