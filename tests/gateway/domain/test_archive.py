"""A streamed tar archive is one that tar reads, and as long as was said."""

import io
import tarfile

import pytest

from gateway.domain.archive import Member, Stretch, archive, cut, size_of


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
    contents = list(files.values())
    pieces = archive(members)
    sent = b"".join(contents[piece.index] if isinstance(piece, Stretch) else piece for piece in pieces)
    assert len(sent) == sum(size_of(piece) for piece in pieces)
    with tarfile.open(fileobj=io.BytesIO(sent), mode="r:") as tar:
        read = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    assert read == files


def test_a_file_larger_than_the_old_format_allows_has_its_size() -> None:
    size = 9 * 1024**3
    header = Member("model.safetensors", size).header()
    with tarfile.open(fileobj=io.BytesIO(header), mode="r:") as tar:
        info = tar.next()
    assert info is not None
    assert info.size == size


def test_a_cut_leaves_out_what_lies_outside_of_it() -> None:
    pieces = [b"head", Stretch(0, 0, 10), b"", b"tail"]
    assert list(cut(pieces, 2, 6)) == [b"ad", Stretch(0, 0, 2)]
    assert list(cut(pieces, 7, 15)) == [Stretch(0, 3, 7), b"t"]
    assert list(cut(pieces, 0, 18)) == [b"head", Stretch(0, 0, 10), b"tail"]
