"""A streamed tar archive is one that tar reads, and as long as was said."""

import io
import tarfile

import pytest

from gateway.domain.archive import Member, archive_size, ending


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": b"hello"},
        {"folder/a": b"", "folder/b": b"x" * 512, "folder/c": b"y" * 513},
        {"very/" + "long/" * 60 + "näme.bin": b"z"},
    ],
)
def test_what_is_written_is_read_back(files: dict[str, bytes]) -> None:
    members = [Member(name, len(data)) for name, data in files.items()]
    archive = b"".join(m.header(0) + files[m.name] + m.padding() for m in members) + ending()
    assert len(archive) == archive_size(members, 0)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        read = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    assert read == files


def test_a_file_larger_than_the_old_format_allows_has_its_size() -> None:
    size = 9 * 1024**3
    header = Member("model.safetensors", size).header(0)
    with tarfile.open(fileobj=io.BytesIO(header), mode="r:") as tar:
        info = tar.next()
    assert info is not None
    assert info.size == size
