"""Checkpoints in the object store are whole or not there, and only the newest are kept."""

from pathlib import Path

import pytest

from common.objects import Objects, S3Path
from trainer.engine.checkpoint_store import S3CheckpointStore


@pytest.fixture
def prefix(run_id: str) -> S3Path:
    return S3Path("artifacts", f"{run_id}/training/checkpoints")


@pytest.fixture
def store(objects: Objects, prefix: S3Path) -> S3CheckpointStore:
    return S3CheckpointStore(objects, prefix)


def _state(folder: Path, text: str) -> Path:
    (folder / "nested").mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_text(text)
    (folder / "nested" / "state.json").write_text("{}")
    return folder


def test_there_is_none_at_first(store: S3CheckpointStore, tmp_path: Path) -> None:
    assert store.latest(tmp_path / "into") is None


def test_the_newest_comes_back_with_all_its_files(store: S3CheckpointStore, tmp_path: Path) -> None:
    for step in (5, 10, 50):
        store.save(step, _state(tmp_path / "state", f"weights of {step}"))
    assert store.latest(tmp_path / "into") == 50
    assert (tmp_path / "into" / "weights.safetensors").read_text() == "weights of 50"
    assert (tmp_path / "into" / "nested" / "state.json").is_file()


def test_two_are_kept(store: S3CheckpointStore, objects: Objects, prefix: S3Path, tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        store.save(step, _state(tmp_path / "state", "weights"))
    assert {info.path.key.split("/")[3] for info in objects.list(prefix / "")} == {"step-3", "step-4"}


def test_a_run_that_began_anew_keeps_its_own_checkpoints(store: S3CheckpointStore, tmp_path: Path) -> None:
    """Those of a run that had come further are of no use to it: they would stand before its own."""
    for step in (300, 400, 100):
        store.save(step, _state(tmp_path / "state", f"weights of {step}"))
    assert store.latest(tmp_path / "into") == 100
    store.save(200, _state(tmp_path / "state", "weights of 200"))
    assert store.latest(tmp_path / "into") == 200


def test_a_broken_upload_is_never_resumed_from(
    store: S3CheckpointStore, objects: Objects, prefix: S3Path, tmp_path: Path
) -> None:
    store.save(1, _state(tmp_path / "state", "weights of 1"))
    objects.put_bytes(prefix / "step-2/weights.safetensors", b"half")
    assert store.latest(tmp_path / "no-manifest") == 1
    store.save(3, _state(tmp_path / "state", "weights of 3"))
    objects.put_bytes(prefix / "step-3/weights.safetensors", b"short")
    assert store.latest(tmp_path / "truncated") == 1
    assert (tmp_path / "truncated" / "weights.safetensors").read_text() == "weights of 1"


def test_saving_a_step_again_replaces_it(store: S3CheckpointStore, tmp_path: Path) -> None:
    store.save(1, _state(tmp_path / "state", "old"))
    (tmp_path / "state" / "extra").write_text("x")
    store.save(1, _state(tmp_path / "state", "longer than before"))
    assert store.latest(tmp_path / "into") == 1
    assert (tmp_path / "into" / "weights.safetensors").read_text() == "longer than before"


def test_what_another_run_left_is_gone_on_from_until_there_is_an_own_one(
    store: S3CheckpointStore, objects: Objects, prefix: S3Path, tmp_path: Path
) -> None:
    following = S3CheckpointStore(objects, S3Path(prefix.bucket, f"{prefix.key}-own"), earlier=prefix)
    assert following.latest(tmp_path / "none") is None
    store.save(7, _state(tmp_path / "state", "theirs"))
    assert following.latest(tmp_path / "theirs") == 7
    following.save(8, _state(tmp_path / "state", "own"))
    assert following.latest(tmp_path / "own") == 8
    assert store.latest(tmp_path / "kept") == 7
