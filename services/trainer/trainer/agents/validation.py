"""ValidationAgent: checks the rules of its configuration, keeps a report, and lets no broken data set pass."""

import orjson
import polars as pl

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import LogLevel
from contracts.pipeline import DatasetOutput, ValidationConfig, ValidationOutput
from trainer.agents.assignment import Assignment
from trainer.domain.configuration import config_of
from trainer.domain.inputs import need
from trainer.domain.rules import check


def run(work: Assignment) -> ValidationOutput:
    """Raises `Refused(INVALID)` that names every broken rule with its rows, when one is an error."""
    config = config_of(work.step, ValidationConfig)
    dataset = need(work.step, DatasetOutput)
    work.progress.log("INFO", f"Validating {dataset.rows} rows")
    table = pl.read_parquet(work.fetch(dataset.s3_path))
    findings = check(table, config)
    report_path = work.place("report.json")
    report = {
        "rows": table.height,
        "columns": table.columns,
        "config": config.model_dump(),
        "findings": [finding.model_dump() for finding in findings],
    }
    work.objects.put_bytes(report_path, orjson.dumps(report, option=orjson.OPT_INDENT_2))
    errors = [finding for finding in findings if finding.severity == "error"]
    for finding in findings:
        level: LogLevel = "ERROR" if finding.severity == "error" else "WARN"
        rows = f" (first rows: {', '.join(map(str, finding.examples))})" if finding.examples else ""
        work.progress.log(level, f"{finding.rule}: {finding.message}{rows}")
    if errors:
        raise Refused(
            RefusalCode.INVALID,
            "The data set does not meet the rules: " + "; ".join(finding.message for finding in errors),
            {
                "errors": [
                    {
                        "field": f.rule,
                        "message": f.message,
                        "rows": f.rows,
                        "examples": f.examples,
                        "row_numbers": f.row_numbers,
                    }
                    for f in errors
                ],
                "report_path": str(report_path),
            },
        )
    work.progress.log("INFO", f"Validation passed: {table.height} rows, {len(findings)} warnings")
    return ValidationOutput(rows=table.height, findings=findings, report_path=str(report_path))
