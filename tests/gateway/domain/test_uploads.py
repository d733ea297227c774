"""The name under which an upload is kept."""

import pytest

from contracts.registry import RegisterDataset
from gateway.domain.uploads import new_dataset_id, safe_filename


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("training_data.csv", "training_data.csv"),
        ("Daten für März.csv", "Daten für März.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.csv", "a.csv"),
        ("a\r\nb\0.csv", "ab.csv"),
        ("..", "dataset"),
        ("/", "dataset"),
        (" .hidden. ", "hidden"),
        ("caf\udce9.csv", "caf?.csv"),
        ("a" * 300 + ".jsonl", "a" * 194 + ".jsonl"),
        ("a" * 300, "a" * 200),
    ],
)
def test_a_name_is_safe_as_part_of_a_key(given: str, kept: str) -> None:
    assert safe_filename(given) == kept


def test_an_id_is_one_that_the_registry_takes() -> None:
    dataset_id = new_dataset_id()
    RegisterDataset(dataset_id=dataset_id, filename="a", s3_path="s3://a/b", size_bytes=1, sha256="0")
    assert dataset_id != new_dataset_id()
