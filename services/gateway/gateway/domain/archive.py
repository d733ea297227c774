"""A tar archive whose files are streamed: its headers, its padding, and the exact size that it will have.

Weights hardly compress, so the archive is plain tar: its length is known before the first byte, a download shows its
progress, and one that breaks off is noticed. It is the same each time, to the byte, so that it can be taken up again
anywhere.
"""

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_MODIFIED = 315_532_800
"""1980, as archives that are the same each time have it: tar warns of 1970."""


@dataclass(frozen=True)
class Member:
    """A file of the archive; `size` in bytes."""

    name: str
    size: int

    def header(self) -> bytes:
        """What goes before its bytes. PAX carries names and sizes that the old format has no room for."""
        info = tarfile.TarInfo(self.name)
        info.size, info.mtime, info.mode = self.size, _MODIFIED, 0o644
        return info.tobuf(tarfile.PAX_FORMAT)

    def padding(self) -> bytes:
        """What goes after its bytes."""
        return bytes(-self.size % _BLOCK)


@dataclass(frozen=True)
class Stretch:
    """`length` bytes of a file, the one at `index`, from `offset`."""

    index: int
    offset: int
    length: int


Piece = bytes | Stretch


def archive(members: Sequence[Member], *texts: tuple[str, str]) -> list[Piece]:
    """What the archive is made of, in order; `texts` are small files more, name and content."""
    pieces: list[Piece] = []
    for index, member in enumerate(members):
        pieces += [member.header(), Stretch(index, 0, member.size), member.padding()]
    for name, text in texts:
        member = Member(name, len(text.encode()))
        pieces += [member.header(), text.encode(), member.padding()]
    return [*pieces, _END]


def size_of(piece: Piece) -> int:
    return piece.length if isinstance(piece, Stretch) else len(piece)


def cut(pieces: Sequence[Piece], start: int, stop: int) -> Iterator[Piece]:
    """What lies from byte `start` up to byte `stop`. Pieces without any bytes are left out."""
    place = 0
    for piece in pieces:
        first, last = max(start - place, 0), min(stop - place, size_of(piece))
        place += size_of(piece)
        if first < last:
            yield (
                Stretch(piece.index, piece.offset + first, last - first)
                if isinstance(piece, Stretch)
                else piece[first:last]
            )
