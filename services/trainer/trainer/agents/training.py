"""TrainingAgent: fine-tunes the base model on the preprocessed rows, from its last checkpoint where there is one."""

from contracts.base import RefusalCode, Refused
from contracts.pipeline import PreprocessingOutput, TrainingConfig, TrainingOutput
from trainer.agents.assignment import Assignment
from trainer.domain.configuration import config_of
from trainer.domain.inputs import need
from trainer.engine.checkpoint_store import S3CheckpointStore
from trainer.engine.models import resolve_model
from trainer.engine.places import checkpoints_of, earlier_checkpoints_of
from trainer.engine.recipe import train


def run(work: Assignment) -> TrainingOutput:
    """Raises `Refused`: CONFIG_INVALID, DATASET_INVALID, TRAINING_FAILED, STORAGE_FAILED; and `Paused`."""
    config = config_of(work.step, TrainingConfig)
    rows = need(work.step, PreprocessingOutput)
    base_model = config.base_model or rows.base_model
    if base_model != rows.base_model:
        message = f"base_model is {base_model!r}, but the rows were prepared for {rows.base_model!r}"
        raise Refused(RefusalCode.CONFIG_INVALID, message, {"errors": [{"field": "base_model", "message": message}]})
    work.progress.log("INFO", f"Starting training of {base_model} ({config.method}) on {rows.train_rows} rows")
    model = work.directory / "model"
    _fetch_tokens(work, rows)
    result = train(
        resolve_model(base_model, work.models_dir),
        config,
        work.fetch(rows.train_path),
        work.fetch(rows.eval_path),
        chat_template=rows.chat_template,
        max_seq_length=rows.max_seq_length,
        work_dir=work.directory,
        output_dir=model,
        checkpoints=S3CheckpointStore(work.objects, checkpoints_of(work.step), earlier_checkpoints_of(work.step)),
        progress=work.progress,
        steering=work.steering,
    )
    # What an attempt that died here left behind is not part of this model.
    work.objects.remove_prefix(work.place("model/"))
    work.objects.put_directory(work.place("model"), model)
    work.progress.log(
        "INFO",
        f"Training finished: {result.steps} steps, {result.tokens} tokens in {result.seconds:.0f} s,"
        f" loss {result.first_loss:.3f} → {result.final_loss:.3f}",
    )
    return TrainingOutput(
        base_model=base_model,
        method=config.method,
        config=config.model_copy(update={"base_model": base_model}),
        model_path=str(work.place("model")),
        rows_path=rows.train_path,
        steps=result.steps,
        epochs=result.epochs,
        first_loss=result.first_loss,
        final_loss=result.final_loss,
        tokens=result.tokens,
        seconds=result.seconds,
        resumed_from_step=result.resumed_from_step,
        eval_loss=result.eval_loss,
        best_step=result.best_step,
        stopped_early=result.stopped_early,
        peak_memory_bytes=result.peak_memory_bytes,
        estimate=result.estimate,
        learning_rate_changes=result.learning_rate_changes,
    )


def _fetch_tokens(work: Assignment, rows: PreprocessingOutput) -> None:
    """Puts them beside the rows, as `kept_tokens` looks for them. Where there are none, rows are tokenised."""
    if rows.tokens_path is None:
        return
    try:
        work.fetch_directory(rows.tokens_path)
    except Refused as refused:
        if refused.code is not RefusalCode.NOT_FOUND:
            raise
