"""Validation rules: what counts as broken, which rows are named, what is an error and what a warning."""

import polars as pl

from contracts.pipeline import RuleFinding, ValidationConfig
from trainer.domain.rules import check


def _table(**columns: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _only(findings: list[RuleFinding], rule: str) -> RuleFinding:
    (finding,) = [finding for finding in findings if finding.rule == rule]
    return finding


def test_a_good_table_has_no_findings() -> None:
    assert check(_table(question=["a?", "b?"], answer=["A", "B"]), ValidationConfig()) == []


def test_a_required_column_that_is_not_there_is_an_error_that_names_what_is() -> None:
    finding = _only(check(_table(text=["a"]), ValidationConfig(required_columns=["answer"])), "required_columns")
    assert finding.severity == "error"
    assert "answer" in finding.message
    assert "text" in finding.message


def test_too_few_rows_are_an_error() -> None:
    assert _only(check(_table(a=["x"]), ValidationConfig(min_rows=2)), "min_rows").severity == "error"


def test_gaps_in_a_required_column_beyond_the_ratio_are_an_error_with_the_first_rows() -> None:
    table = _table(q=["a", "b", "c", "d"], a=["x", None, "  ", "y"])
    config = ValidationConfig(required_columns=["a"], max_missing_ratio=0.25)
    finding = _only(check(table, config), "missing")
    assert (finding.severity, finding.rows, finding.examples) == ("error", 2, [1, 2])


def test_gaps_in_another_column_are_a_warning_so_that_alpacas_empty_inputs_pass() -> None:
    table = _table(instruction=["a", "b", "c"], input=[None, None, "x"], output=["d", "e", "f"])
    assert [finding.severity for finding in check(table, ValidationConfig())] == ["warning"]


def test_rows_blank_all_over_are_an_error_beyond_the_ratio() -> None:
    table = _table(a=["x", None, None], b=["y", "", None])
    assert check(table, ValidationConfig(max_missing_ratio=0.1))[0].severity == "error"
    assert _only(check(table, ValidationConfig(max_missing_ratio=0.7)), "missing").severity == "warning"


def test_repeated_rows_are_an_error_beyond_the_ratio_and_else_a_warning() -> None:
    table = _table(a=["x", "x", "y", "x"], b=["1", "1", "1", "1"])
    finding = _only(check(table, ValidationConfig(max_duplicate_ratio=0.4)), "duplicates")
    assert (finding.severity, finding.rows, finding.examples) == ("error", 2, [1, 3])
    assert _only(check(table, ValidationConfig()), "duplicates").severity == "warning"


def test_characters_that_could_not_be_decoded_are_found() -> None:
    table = _table(a=["fine", "bro\ufffdken", "contr\x01ol", "tab\tand\nnewline are fine"])
    finding = _only(check(table, ValidationConfig()), "encoding")
    assert (finding.severity, finding.examples) == ("error", [1, 2])
    assert _only(check(table, ValidationConfig(max_missing_ratio=0.6)), "encoding").severity == "warning"


def test_lengths_count_characters_of_the_whole_row() -> None:
    table = _table(a=["ää", "long enough", "x" * 30], b=["ö", "yes", None])
    findings = check(table, ValidationConfig(min_length=4, max_length=29))
    assert _only(findings, "min_length").examples == [0]
    assert _only(findings, "max_length").examples == [2]
    assert all(finding.severity == "error" for finding in findings if finding.rule.endswith("length"))


def test_blank_rows_are_missing_not_short() -> None:
    table = _table(a=["some text"] * 10 + [None])
    assert {finding.rule for finding in check(table, ValidationConfig(min_length=5))} == {"duplicates", "missing"}


def test_errors_come_before_warnings_and_few_examples_are_named() -> None:
    findings = check(_table(a=["x"] * 50), ValidationConfig(min_rows=100, max_duplicate_ratio=1))
    assert [finding.severity for finding in findings] == ["error", "warning"]
    assert findings[1].rows == 49
    assert findings[1].examples == [1, 2, 3, 4, 5]
