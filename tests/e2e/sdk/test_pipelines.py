"""Data sets, jobs, logs and models by the SDK for Python."""

import hashlib
from pathlib import Path

import pytest

from llm_platform import (
    ApiError,
    Client,
    InvalidRequest,
    JobFailed,
    NotFound,
)

pytestmark = pytest.mark.e2e


def test_data_sets_are_uploaded_checked_listed_and_previewed(sdk: Client, small_csv: Path) -> None:
    through: list[tuple[int, int | None]] = []
    dataset = sdk.datasets.upload(small_csv, progress=lambda done, total: through.append((done, total)))
    size = small_csv.stat().st_size
    assert through[-1] == (size, size)
    assert dataset.sha256 == hashlib.sha256(small_csv.read_bytes()).hexdigest()
    assert sdk.datasets.get(dataset.dataset_id) == dataset
    assert dataset.dataset_id in [each.dataset_id for each in sdk.datasets.list(limit=50)]
    assert len(sdk.datasets.preview(dataset.dataset_id, limit=3).samples) == 3


def test_a_refused_upload_says_why_in_document_e_s_words(sdk: Client, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("no json")
    with pytest.raises(InvalidRequest) as refused:
        sdk.datasets.upload(tmp_path / "rows.json")
    assert (refused.value.code, refused.value.status) == ("DATASET_ERROR", 400)
    assert refused.value.request_id


def test_a_job_is_watched_to_its_end_and_its_files_are_fetched(sdk: Client, small_csv: Path, tmp_path: Path) -> None:
    dataset = sdk.datasets.upload(small_csv)
    job = sdk.jobs.create({"template": "validate", "dataset_id": dataset.dataset_id})
    told = list(sdk.jobs.watch(job.job_id))
    assert told[-1].type == "end"
    assert {"log", "progress"} <= {message.type for message in told}
    assert job.wait(timeout=30).status == "completed"
    with pytest.raises(JobFailed, match="without making a model"):
        _ = job.model_id
    for artifact in sdk.jobs.artifacts(job.job_id):
        path = sdk.jobs.download_artifact(job.job_id, artifact.name, tmp_path / "artifact")
        assert path.stat().st_size == artifact.size_bytes
    assert {template.template for template in sdk.jobs.templates()} >= {"validate", "finetune"}
    assert sdk.jobs.delete(job.job_id).status == job.delete().status == "deleted"
    with pytest.raises(NotFound):
        job.refresh()


def test_jobs_that_there_are_not_cannot_be_got_and_bad_ones_not_submitted(sdk: Client) -> None:
    with pytest.raises(NotFound) as missing:
        sdk.jobs.get("job_nobody")
    assert missing.value.code == "NOT_FOUND"
    with pytest.raises(ApiError) as invalid:
        sdk.jobs.create({"pipeline_config": {"nodes": [{"agent_name": "x", "agent_class": "NoAgent"}]}})
    assert invalid.value.status == 400
    with pytest.raises(NotFound):
        next(sdk.logs.stream("nobody"))
    with pytest.raises(NotFound):
        list(sdk.logs.history("nobody"))
    with pytest.raises(NotFound):
        sdk.models.get("model_nobody")
    with pytest.raises(ValueError, match="id"):
        sdk.models.get("")
