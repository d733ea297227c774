"""ExportAgent: writes the trained model in the formats that others read, each below a prefix of its own."""

from contracts.pipeline import ExportConfig, ExportOutput, PreprocessingOutput, TrainingOutput
from trainer.agents.assignment import Assignment
from trainer.domain.configuration import config_of
from trainer.domain.exports import check_formats
from trainer.domain.inputs import find, need
from trainer.engine.export import export
from trainer.engine.models import resolve_model


def run(work: Assignment) -> ExportOutput:
    """Raises `Refused`: CONFIG_INVALID for a format that the model has not, TRAINING_FAILED for an export that does not
    say what the model says, STORAGE_FAILED."""
    config = config_of(work.step, ExportConfig)
    training = need(work.step, TrainingOutput)
    rows = find(work.step, PreprocessingOutput)
    check_formats(training.method, config.formats)
    work.progress.log("INFO", f"Starting export as {', '.join(config.formats)}")
    written = export(
        resolve_model(training.base_model, work.models_dir),
        work.fetch_directory(training.model_path),
        training.method,
        config,
        reference=training.base_model,
        name=f"{training.base_model.rsplit('/', 1)[-1]} {work.step.run_id}",
        chat_template=rows.chat_template if rows else None,
        output_dir=work.directory / "exports",
        progress=work.progress,
    )
    size = 0
    for format_, folder in written.directories.items():
        work.objects.remove_prefix(work.place(f"{format_}/"))
        size += work.objects.put_directory(work.place(format_), folder)
    exports = {format_: str(work.place(format_)) for format_ in written.directories}
    work.progress.log("INFO", f"Export finished: {', '.join(exports.values())}, {size} bytes")
    return ExportOutput(exports=exports, size_bytes=size, files=written.files, checks=written.checks)
