"""Each trainer process has a scratch folder of its own, and finds it empty."""

from pathlib import Path

from trainer.engine.work_folder import own_folder


def test_a_folder_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    with own_folder(tmp_path / "work") as folder:
        (folder / "run").mkdir()
        (folder / "run" / "weights").write_text("x")
    assert not folder.exists()


def test_two_processes_never_share_one(tmp_path: Path) -> None:
    with own_folder(tmp_path) as one, own_folder(tmp_path) as other:
        assert one != other


def test_what_a_killed_process_left_is_removed_by_its_successor(tmp_path: Path) -> None:
    (tmp_path / "worker-1").mkdir()
    (tmp_path / "worker-1" / "left").write_text("x")
    with own_folder(tmp_path) as folder:
        assert folder == tmp_path / "worker-1"
        assert list(folder.iterdir()) == []
