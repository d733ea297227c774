"""The rules of `ValidationConfig`, each a count of the rows that break it. Tables hold text columns alone."""

from collections.abc import Iterator

import polars as pl

from contracts.pipeline import RuleFinding, ValidationConfig

_EXAMPLES = 5
_MOST_ROWS = 1000
"""Numbers of broken rows that are told for a rule; a report is read by people and travels between services."""
_UNREADABLE = "[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""The replacement character, which stands for bytes that could not be decoded, and control characters."""


def check(table: pl.DataFrame, config: ValidationConfig) -> list[RuleFinding]:
    """What is wrong with the table, errors first. Row numbers are 0-based."""
    findings = [
        *_columns(table, config),
        *_row_count(table, config),
        *_missing(table, config),
        *_duplicates(table, config),
        *_encoding(table, config),
        *_lengths(table, config),
    ]
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _finding(rule: str, message: str, broken: pl.Series, *, error: bool) -> RuleFinding:
    return RuleFinding(
        rule=rule,
        severity="error" if error else "warning",
        message=message,
        rows=int(broken.sum()),
        examples=broken.arg_true().head(_EXAMPLES).to_list(),
        row_numbers=broken.arg_true().head(_MOST_ROWS).to_list(),
    )


def _blank(column: str) -> pl.Expr:
    return pl.col(column).is_null() | (pl.col(column).str.strip_chars() == "")


def _where(table: pl.DataFrame, broken: pl.Expr) -> pl.Series:
    return table.select(broken.fill_null(False).alias("broken")).to_series()


def _columns(table: pl.DataFrame, config: ValidationConfig) -> Iterator[RuleFinding]:
    absent = [column for column in config.required_columns if column not in table.columns]
    if absent:
        message = f"Required columns are not there: {', '.join(absent)}; there are {', '.join(table.columns)}"
        yield RuleFinding(rule="required_columns", severity="error", message=message, rows=table.height)


def _row_count(table: pl.DataFrame, config: ValidationConfig) -> Iterator[RuleFinding]:
    if table.height < config.min_rows:
        message = f"There are {table.height} rows, fewer than {config.min_rows}"
        yield RuleFinding(rule="min_rows", severity="error", message=message, rows=table.height)


def _missing(table: pl.DataFrame, config: ValidationConfig) -> Iterator[RuleFinding]:
    """Wholly blank rows and gaps in required columns count; a gap elsewhere, such as no `input`, is worth a word."""
    allowed = config.max_missing_ratio
    blank = _where(table, pl.all_horizontal(_blank(column) for column in table.columns))
    if blank.any():
        share = blank.sum() / table.height
        yield _finding("missing", f"{share:.1%} of the rows are blank", blank, error=share > allowed)
    for column in table.columns:
        empty = _where(table, _blank(column))
        share = empty.sum() / table.height
        if share > allowed or (share > 0 and column in config.required_columns):
            message = f"{share:.1%} of the rows have no {column!r}"
            yield _finding("missing", message, empty, error=share > allowed and column in config.required_columns)


def _duplicates(table: pl.DataFrame, config: ValidationConfig) -> Iterator[RuleFinding]:
    repeated = ~table.select(pl.struct(pl.all()).is_first_distinct().alias("first")).to_series()
    if repeated.any():
        share = repeated.sum() / table.height
        message = f"{share:.1%} of the rows repeat an earlier one"
        yield _finding("duplicates", message, repeated, error=share > config.max_duplicate_ratio)


def _encoding(table: pl.DataFrame, config: ValidationConfig) -> Iterator[RuleFinding]:
    """Unreadable text is as good as missing, so the same share of it is allowed."""
    unreadable = _where(table, pl.any_horizontal(pl.col(column).str.contains(_UNREADABLE) for column in table.columns))
    if unreadable.any():
        share = unreadable.sum() / table.height
        message = f"{share:.1%} of the rows have characters that could not be decoded; is the file UTF-8?"
        yield _finding("encoding", message, unreadable, error=share > config.max_missing_ratio)


def _lengths(table: pl.DataFrame, config: ValidationConfig) -> Iterator[RuleFinding]:
    """Characters over all columns of a row. Blank rows are the affair of `missing`."""
    lengths = table.select(pl.sum_horizontal(pl.all().str.len_chars().fill_null(0)).alias("length")).to_series()
    blank = _where(table, pl.all_horizontal(_blank(column) for column in table.columns))
    short = (lengths < config.min_length) & ~blank
    if short.any():
        yield _finding("min_length", f"Rows are shorter than {config.min_length} characters", short, error=True)
    long = lengths > config.max_length
    if long.any():
        yield _finding("max_length", f"Rows are longer than {config.max_length} characters", long, error=True)
