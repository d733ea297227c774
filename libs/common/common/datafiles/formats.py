"""Which format a file has: its content where that is plain, else the ending of its name, else a first look.

A format that the uploader states is never overruled: where the content says otherwise, the file is refused.
"""

import codecs
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import get_args

import orjson

from contracts.base import Refused
from contracts.pipeline import SUFFIXES, DatasetFormat, invalid_dataset

HEAD_BYTES = 64 * 1024
"""How much of a file's beginning `detect_format` looks at."""

PARQUET_MAGIC = b"PAR1"
SEPARATORS = (",", ";", "\t", "|")
"""What may separate the fields of a CSV file; the first wins a tie."""

_PLAIN_TEXT_SUFFIXES = frozenset({"", ".text", ".md", ".markdown", ".log"})
_SIGNATURES: Mapping[bytes, str] = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"%PDF": "a PDF document",
    b"ARROW1": "an Arrow file",
    b"PARE": "an encrypted Parquet file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3\0": "a SQLite database",
    b"\xd0\xcf\x11\xe0": "an old office document",
}
_READABLE = f"data sets are plain {', '.join(get_args(DatasetFormat))} files"
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def detect_format(head: bytes, filename: str, stated: DatasetFormat | None) -> DatasetFormat:
    """The format of the file that begins with `head` (its first `HEAD_BYTES`).

    Raises `Refused(DATASET_INVALID)` for an empty file, one in no format that is read, and one whose content
    is not what `stated` says.
    """
    if not head:
        raise invalid_dataset("The file is empty")
    if head.startswith(PARQUET_MAGIC):
        return _agreed("parquet", stated)
    _refuse_binary(head)
    start = head.decode("utf-8-sig", errors="replace").lstrip()
    if not start:
        raise invalid_dataset("The file holds only white space")
    suffix = PurePosixPath(filename.lower()).suffix
    named = SUFFIXES.get(suffix)
    if stated == "parquet" or (stated is None and named == "parquet"):
        raise _mismatch("parquet", "its content is not Parquet")
    plain = _plain_json(start, stated or named, complete=len(head) < HEAD_BYTES)
    if stated is not None:
        return _checked(stated, plain, start)
    if named == "txt":
        return "txt"
    if named in ("csv", "tsv"):
        return plain or _table(start, named) or named
    return plain or named or _first_look(start, suffix)


def csv_separator(header: str) -> str:
    """The separator of a CSV file: the one that its first line holds most of."""
    return max(SEPARATORS, key=header.count)


def _agreed(found: DatasetFormat, stated: DatasetFormat | None) -> DatasetFormat:
    if stated not in (None, found):
        raise _mismatch(stated, f"its content is {found}")
    return found


def _mismatch(stated: DatasetFormat | None, why: str) -> Refused:
    return invalid_dataset(f"The file is said to be {stated}, but {why}", field="format")


def _refuse_binary(head: bytes) -> None:
    for signature, description in _SIGNATURES.items():
        # A signature of letters may well begin a text; a binary file holds zero bytes too.
        if head.startswith(signature) and (b"\0" in head or not signature.isalnum()):
            raise invalid_dataset(f"The file is {description}; {_READABLE}")
    if head.startswith(_WIDE_MARKS):
        raise invalid_dataset("The file is UTF-16 or UTF-32; please save it as UTF-8")
    if b"\0" in head:
        raise invalid_dataset(f"The file is binary, in no known format; {_READABLE}")


def _plain_json(start: str, expected: DatasetFormat | None, *, complete: bool) -> DatasetFormat | None:
    """`json` or `jsonl` where the first characters leave no doubt, else None.

    Without a whole first line (`start` is not `complete`), an object is taken for what is `expected`.
    """
    if start[0] == "[":
        return "json" if expected == "json" or start[1:].lstrip()[:1] in ("{", '"', "[", "]") else None
    if start[0] != "{":
        return None
    line, newline, rest = start.partition("\n")
    if not newline and not complete:
        return "jsonl" if expected == "jsonl" else "json"
    if _is_json_object(line):
        return "jsonl" if rest.strip() or expected == "jsonl" else "json"
    return "json" if expected == "json" or line.strip() == "{" else None


def _is_json_object(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _checked(stated: DatasetFormat, plain: DatasetFormat | None, start: str) -> DatasetFormat:
    if stated in ("json", "jsonl"):
        # A broken first line is told as such by the reader, which knows where; a table is not JSON at all.
        if plain not in (None, stated):
            raise _mismatch(stated, f"its content is {plain}")
        if start[0] not in '{["':
            raise _mismatch(stated, "its content is not JSON")
    elif stated in ("csv", "tsv"):
        if plain is not None:
            raise _mismatch(stated, f"its content is {plain}")
        found = _table(start, stated)
        if found not in (None, stated):
            raise _mismatch(stated, f"its first line is {found}")
    return stated


def _table(start: str, expected: DatasetFormat | None) -> DatasetFormat | None:
    """What separates the first line: as `expected` where that is possible, else what there is most of, if anything."""
    header = start.split("\n", 1)[0]
    if expected == "tsv" and "\t" in header:
        return "tsv"
    separator = csv_separator(header)
    if separator not in header:
        return None
    return "tsv" if separator == "\t" else "csv"


def _first_look(start: str, suffix: str) -> DatasetFormat:
    """For a name that says nothing: a table when its first two lines have the same number of fields, else text."""
    lines = start.splitlines()[:2]
    found = _table(start, None)
    if found is not None and len(lines) == 2:
        separator = csv_separator(lines[0])
        if lines[0].count(separator) == lines[1].count(separator):
            return found
    if suffix in _PLAIN_TEXT_SUFFIXES:
        return "txt"
    raise invalid_dataset(f"Files that end in {suffix!r} are not read; {_READABLE}")
