"""One file that may hold a data set: what it was before it was compressed, its format, its rows."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar

from common import compression
from common.compression import Compression
from common.datafiles.delimited import read_delimited, read_text
from common.datafiles.formats import HEAD_BYTES, detect_format
from common.datafiles.json_arrays import read_json
from common.datafiles.json_lines import read_json_lines
from common.datafiles.limits import Limits
from common.datafiles.parquet import read_parquet
from common.datafiles.parts import Part, Texts, View, every_column, in_order
from contracts.pipeline import DatasetFormat, invalid_dataset

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class DataFile:
    """A seekable `file` under the name it came with, and how wide it may be.

    `compressed` as it was; now it is not. What it expands to is a file without a name in `folder`, or where such go.
    """

    file: BinaryIO
    name: str
    limits: Limits
    compressed: Compression | None = None
    folder: Path | None = None

    @contextmanager
    def expanded(self) -> Iterator["DataFile"]:
        """The file as it was before it was compressed, under the name it had then.

        Raises `Refused(DATASET_INVALID)` for a damaged one, and one that expands beyond the limits.
        """
        packed = compression.compression_of(self.file.read(4))
        self.file.seek(0)
        if packed is None:
            yield self
            return
        suffix = PurePosixPath(self.name.lower()).suffix
        name = self.name[: -len(suffix)] if suffix in compression.SUFFIXES else self.name
        most = self.limits.max_expanded_bytes
        with tempfile.TemporaryFile(dir=self.folder) as plain:
            try:
                for chunk in compression.expanded(self.file, packed, most):
                    plain.write(chunk)
            except compression.Damaged as error:
                raise invalid_dataset(f"The file is damaged {packed}: {error}") from None
            except compression.Endless:
                raise invalid_dataset(f"The file expands to more than {most} bytes") from None
            plain.seek(0)
            yield DataFile(plain, name, self.limits, packed, self.folder)

    def format(self, stated: DatasetFormat | None) -> DatasetFormat:
        """What the file is. Raises `Refused(DATASET_INVALID)` where that is nothing we read, or not what is stated."""
        found = detect_format(self.file.read(HEAD_BYTES), self.name, stated)
        self.file.seek(0)
        return found

    def parts(self, format: DatasetFormat, view: View = every_column) -> Iterator[Part]:  # noqa: A002 - the contract's word
        """Its rows; of those of text what `view` wants.

        Raises `Refused(DATASET_INVALID)`, saying what is wrong and where.
        """
        match format:
            case "csv" | "tsv":
                return self._each_delimited(format, _itself, view)
            case "json":
                return read_json(self.file, self.limits)
            case "jsonl":
                return read_json_lines(self.file, self.limits)
            case "parquet":
                return read_parquet(self.file, self.limits)
            case "txt":
                return read_text(self.file, self.limits, view)

    def each(self, format: DatasetFormat, work: Callable[[Part], ResultT], view: View) -> Iterator[ResultT]:  # noqa: A002
        """What `work` makes of each of the `parts`, of several at once, in order."""
        if format in _SEPARATORS:
            yield from self._each_delimited(format, work, view)
            return
        with ThreadPoolExecutor() as pool:
            for _, made in in_order(pool, self.parts(format, view), work):
                yield made

    def _each_delimited(
        self, separated: DatasetFormat, work: Callable[[Texts], ResultT], view: View
    ) -> Iterator[ResultT]:
        return read_delimited(self.file, self.limits, work, view, separator=_SEPARATORS[separated])


_SEPARATORS: Mapping[DatasetFormat, str | None] = {"csv": None, "tsv": "\t"}
"""None where the header decides."""


def _itself(part: Part) -> Part:
    return part
