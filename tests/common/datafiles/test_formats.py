"""Which format a file is taken for."""

import pytest

from common.datafiles.formats import HEAD_BYTES, csv_separator, detect_format
from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetFormat

CSV = b"text,label\nhello,1\n"
TSV = b"text\tlabel\nhello, you\t1\n"
JSON = b'[\n  {"text": "hello"}\n]\n'
JSONL = b'{"text": "hello"}\n{"text": "you"}\n'
PARQUET = b"PAR1\0\0\0"


@pytest.mark.parametrize(
    ("head", "filename", "expected"),
    [
        (CSV, "a.csv", "csv"),
        (CSV, "A.CSV", "csv"),
        (CSV, "a", "csv"),
        (CSV, "a.data", "csv"),
        (b"text;label\na;1\n", "a.csv", "csv"),
        (b"text\na\n", "a.csv", "csv"),
        (TSV, "a.tsv", "tsv"),
        (TSV, "a.tab", "tsv"),
        (TSV, "a", "tsv"),
        (TSV, "a.csv", "tsv"),
        (b"question (a, b, or c)\tanswer\nx\ty\n", "a.tsv", "tsv"),
        (b"text\nhello, you\n", "a.tsv", "tsv"),
        (JSON, "a.json", "json"),
        (JSON, "a.jsonl", "json"),
        (JSON, "a", "json"),
        (JSON, "a.csv", "json"),
        (b'{"data": [{"text": "a"}]}', "a.json", "json"),
        (b'{\n "data": []\n}', "a", "json"),
        (JSONL, "a.jsonl", "jsonl"),
        (JSONL, "a.ndjson", "jsonl"),
        (JSONL, "a.json", "jsonl"),
        (JSONL, "a", "jsonl"),
        (b'{"text": "only"}', "a.jsonl", "jsonl"),
        (b'"one"\n"two"\n', "a.jsonl", "jsonl"),
        (b'{"text": "' + b"x" * HEAD_BYTES, "a.jsonl", "jsonl"),
        (b'{"text": "' + b"x" * HEAD_BYTES, "a.json", "json"),
        (PARQUET, "a.parquet", "parquet"),
        (PARQUET, "a.csv", "parquet"),
        (b"Once upon a time\nthere was a line\n", "a.txt", "txt"),
        (JSONL, "a.txt", "txt"),
        (b"Once upon a time, there\nwas\n", "a", "txt"),
        (b"[A link](https://example.org)\n", "a.md", "txt"),
        (b"\xef\xbb\xbf" + JSONL, "a", "jsonl"),
        (b"BZh,label\nx,1\n", "a.csv", "csv"),
    ],
)
def test_content_decides_where_it_is_plain_and_else_the_name(
    head: bytes, filename: str, expected: DatasetFormat
) -> None:
    assert detect_format(head, filename, None) == expected


@pytest.mark.parametrize(
    ("head", "stated"),
    [
        (CSV, "csv"),
        (CSV, "txt"),
        (TSV, "tsv"),
        (JSON, "json"),
        (JSONL, "jsonl"),
        (PARQUET, "parquet"),
        (b'"a"', "jsonl"),
    ],
)
def test_a_stated_format_that_fits_is_taken_whatever_the_name(head: bytes, stated: DatasetFormat) -> None:
    assert detect_format(head, "upload.bin", stated) == stated


@pytest.mark.parametrize(
    ("head", "stated", "what"),
    [
        (PARQUET, "csv", "parquet"),
        (CSV, "parquet", "not Parquet"),
        (JSON, "jsonl", "json"),
        (JSONL, "json", "jsonl"),
        (JSON, "csv", "json"),
        (JSONL, "tsv", "jsonl"),
        (CSV, "json", "not JSON"),
        (CSV, "jsonl", "not JSON"),
        (CSV, "tsv", "csv"),
        (TSV, "csv", "csv"),
    ],
)
def test_a_stated_format_that_the_content_denies_is_refused(head: bytes, stated: DatasetFormat, what: str) -> None:
    with pytest.raises(Refused, match=what) as refused:
        detect_format(head, f"a.{stated}", stated)
    assert refused.value.code is RefusalCode.DATASET_INVALID
    assert refused.value.metadata["errors"][0]["field"] == "format"


@pytest.mark.parametrize(
    ("head", "filename", "why"),
    [
        (b"", "a.csv", "empty"),
        (b" \n\t\n", "a.csv", "white space"),
        (b"\xef\xbb\xbf", "a.csv", "white space"),
        (b"\x1f\x8b\x08\0", "a.csv.gz", "gzip"),
        (b"PK\x03\x04....", "a.xlsx", "ZIP"),
        (b"%PDF-1.7", "a.pdf", "PDF"),
        (b"BZh91AY\0", "a.bz2", "bzip2"),
        ("text,label\n".encode("utf-16"), "a.csv", "UTF-16"),
        (b"\0\1\2\3", "a.bin", "binary"),
        (b"\x89PNG\r\n\x1a\n\0", "a.csv", "binary"),
        (b"<a/>\n", "a.xml", "'.xml'"),
        (b"not parquet", "a.parquet", "not Parquet"),
    ],
)
def test_what_is_no_data_set_is_refused_by_name(head: bytes, filename: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        detect_format(head, filename, None)
    assert refused.value.code is RefusalCode.DATASET_INVALID


@pytest.mark.parametrize(
    ("header", "separator"), [("a,b", ","), ("a;b", ";"), ("a|b", "|"), ("a\tb", "\t"), ("a", ",")]
)
def test_a_header_says_what_separates_its_columns(header: str, separator: str) -> None:
    assert csv_separator(header) == separator
