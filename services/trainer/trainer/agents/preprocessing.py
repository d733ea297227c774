"""PreprocessingAgent: from rows to training examples: cleaned, without duplicates, in the template's form, split."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import orjson
import polars as pl

from contracts.base import RefusalCode, Refused
from contracts.pipeline import DatasetOutput, PreprocessingConfig, PreprocessingOutput
from trainer.agents.assignment import Assignment
from trainer.domain.cleaning import clean
from trainer.domain.configuration import config_of
from trainer.domain.conversations import Conversation, Row, fields_of, read_row, resolve
from trainer.domain.duplicates import near_duplicates
from trainer.domain.inputs import need
from trainer.domain.splitting import held_out
from trainer.domain.templates import CustomTemplate
from trainer.engine.rendering import Example, Renderer

ReadRow = Callable[[Row], Conversation | None]


@dataclass(frozen=True)
class Reading:
    """How rows become conversations, and the custom template if there is one."""

    read: ReadRow
    custom: CustomTemplate | None


def run(work: Assignment) -> PreprocessingOutput:
    """Raises `Refused`: CONFIG_INVALID when template and data do not fit, DATASET_INVALID when too little is left."""
    config = config_of(work.step, PreprocessingConfig)
    dataset = need(work.step, DatasetOutput)
    if config.base_model is None:
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            "PreprocessingAgent needs base_model, whose tokenizer counts the tokens",
            {"errors": [{"field": "base_model", "message": "field required"}]},
        )
    work.progress.log("INFO", f"Preprocessing {dataset.rows} rows as {config.template} for {config.base_model}")
    table = pl.read_parquet(work.fetch(dataset.s3_path))
    reading = _reading(config, table.columns)
    renderer = Renderer.load(config.base_model, work.models_dir, config.template, reading.custom)
    dropped: Counter[str] = Counter()
    conversations = _conversations(table.iter_rows(named=True), reading.read, config, dropped)
    examples = _fitting(renderer.examples(conversations), config.max_seq_length, dropped)
    return _hand_on(work, config, renderer.template, examples, dropped)


def _reading(config: PreprocessingConfig, columns: Sequence[str]) -> Reading:
    tidy = clean if config.clean else str
    mapping = config.template_mapping
    if config.custom_template is not None:
        custom = CustomTemplate.parse(config.custom_template)
        fields = resolve(columns, mapping, required=tuple(dict.fromkeys(custom.variables)), optional=())
        return Reading(lambda row: custom.read_row(row, fields, tidy), custom)
    fields = fields_of(config.template, columns, mapping)
    return Reading(lambda row: read_row(row, fields, tidy), None)


def _conversations(
    rows: Iterable[Row], read: ReadRow, config: PreprocessingConfig, dropped: Counter[str]
) -> list[Conversation]:
    read_rows = [read(row) for row in rows]
    whole = [conversation for conversation in read_rows if conversation is not None]
    dropped["incomplete"] = len(read_rows) - len(whole)
    if not config.dedup:
        return whole
    distinct = list(dict.fromkeys(whole))
    dropped["duplicate"] = len(whole) - len(distinct)
    repeated = near_duplicates(["\n".join(turn.content for turn in conversation) for conversation in distinct])
    dropped["near_duplicate"] = sum(repeated)
    return list(compress(distinct, (not again for again in repeated)))


def _fitting(examples: Sequence[Example], max_seq_length: int, dropped: Counter[str]) -> list[Example]:
    fitting = [example for example in examples if example.tokens <= max_seq_length]
    dropped["too_long"] = len(examples) - len(fitting)
    if not fitting:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
        raise Refused(RefusalCode.DATASET_INVALID, f"No row is left to train on: {reasons}", {"dropped": dict(dropped)})
    return fitting


def _hand_on(
    work: Assignment, config: PreprocessingConfig, template: str, examples: Sequence[Example], dropped: Counter[str]
) -> PreprocessingOutput:
    mask = held_out([_question(example) for example in examples], config.eval_ratio, config.seed)
    evaluation = list(compress(examples, mask))
    training = list(compress(examples, (not held for held in mask)))
    for name, part in (("train.jsonl", training), ("eval.jsonl", evaluation)):
        work.objects.put_file(work.place(name), _write(part, work.directory / name))
    statistics = {
        "dropped": dict(dropped),
        "train": _token_statistics(training),
        "eval": _token_statistics(evaluation),
    }
    work.objects.put_bytes(work.place("statistics.json"), orjson.dumps(statistics, option=orjson.OPT_INDENT_2))
    reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count)
    work.progress.log("INFO", f"Dropped {dropped.total()} rows" + (f": {reasons}" if reasons else ""))
    train_tokens, eval_tokens = (sum(example.tokens for example in part) for part in (training, evaluation))
    work.progress.log(
        "INFO",
        f"Preprocessed: {len(training)} rows to train on ({train_tokens} tokens),"
        f" {len(evaluation)} held out ({eval_tokens} tokens)",
    )
    assert config.base_model is not None  # noqa: S101 - `run` refused otherwise
    return PreprocessingOutput(
        base_model=config.base_model,
        template=config.template,
        chat_template=template,
        train_path=str(work.place("train.jsonl")),
        eval_path=str(work.place("eval.jsonl")),
        train_rows=len(training),
        eval_rows=len(evaluation),
        dropped_rows=dropped.total(),
        train_tokens=train_tokens,
        eval_tokens=eval_tokens,
        max_seq_length=config.max_seq_length,
    )


def _question(example: Example) -> str:
    """What may not be on both sides of the split: how a conversation opens, whatever its case and spacing."""
    return " ".join(example.opening.casefold().split())


def _write(examples: Sequence[Example], file: Path) -> Path:
    with file.open("wb") as writer:
        for example in examples:
            writer.write(orjson.dumps(_line(example)) + b"\n")
    return file


def _line(example: Example) -> Mapping[str, str]:
    prompt, answer = example.row.prompt, example.row.completion
    if example.rejected is None:
        return {"prompt": prompt, "completion": answer}
    return {"prompt": prompt, "chosen": answer, "rejected": example.rejected}


def _token_statistics(examples: Sequence[Example]) -> dict[str, float]:
    lengths = pl.Series([example.tokens for example in examples])
    quantiles = {f"p{percent}": lengths.quantile(percent / 100) or 0.0 for percent in (50, 90, 99)}
    return {"rows": len(lengths), "tokens": lengths.sum(), "longest": lengths.max() or 0, **quantiles}  # type: ignore[dict-item]
