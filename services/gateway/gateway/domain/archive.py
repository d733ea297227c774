"""A tar archive whose files are streamed: its headers, its padding, and the exact size that it will have.

Weights hardly compress, so the archive is plain tar: its length is known before the first byte, a download shows its
progress, and one that breaks off is noticed.
"""

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)


@dataclass(frozen=True)
class Member:
    """A file of the archive; `size` in bytes."""

    name: str
    size: int

    def header(self, modified: int) -> bytes:
        """What goes before its bytes. PAX carries names and sizes that the old format has no room for."""
        info = tarfile.TarInfo(self.name)
        info.size, info.mtime, info.mode = self.size, modified, 0o644
        return info.tobuf(tarfile.PAX_FORMAT)

    def padding(self) -> bytes:
        """What goes after its bytes."""
        return bytes(-self.size % _BLOCK)


def ending() -> bytes:
    """What goes after the last file."""
    return _END


def archive_size(members: Sequence[Member], modified: int) -> int:
    """The size of the whole archive, in bytes."""
    return sum(len(m.header(modified)) + m.size + len(m.padding()) for m in members) + len(_END)
