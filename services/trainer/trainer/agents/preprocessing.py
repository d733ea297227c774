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
from trainer.domain.content import STATISTICS
from trainer.domain.conversations import Conversation, Row, fields_of, read_row
from trainer.domain.duplicates import contaminated, near_duplicates
from trainer.domain.inputs import need
from trainer.domain.splitting import held_out
from trainer.domain.templates import CustomTemplate
from trainer.engine.kept_tokens import FOLDER
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
    examples = _fitting(renderer.examples(conversations), config, dropped)
    return _hand_on(work, config, renderer, examples, dropped)


def _reading(config: PreprocessingConfig, columns: Sequence[str]) -> Reading:
    tidy = clean if config.clean else str
    mapping = config.template_mapping
    if config.custom_template is not None:
        custom = CustomTemplate.parse(config.custom_template)
        fields = custom.fields_of(columns, mapping)
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
    if config.dedup_threshold is None:
        return distinct
    # Of preferences both answers count: one prompt may have several pairs.
    texts = ["\n".join(turn.content + (turn.rejected or "") for turn in chat) for chat in distinct]
    repeated = near_duplicates(texts, config.dedup_threshold)
    dropped["near_duplicate"] = sum(repeated)
    return list(compress(distinct, (not again for again in repeated)))


def _fitting(examples: Sequence[Example], config: PreprocessingConfig, dropped: Counter[str]) -> list[Example]:
    """Those within the length: as they are, or cut to it where that leaves some of the answer."""
    most = config.max_seq_length
    room = [example.prompt_tokens if config.over_length == "truncate" else example.tokens - 1 for example in examples]
    fitting = [example for example, needed in zip(examples, room, strict=True) if needed < most]
    dropped["too_long"] = len(examples) - len(fitting)
    if config.over_length == "refuse" and dropped["too_long"]:
        longest = max(example.tokens for example in examples)
        message = f"{dropped['too_long']} examples have more than {most} tokens, the longest {longest}"
        raise Refused(RefusalCode.DATASET_INVALID, message, {"too_long": _openings(examples, room, most)})
    if not fitting:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
        raise Refused(RefusalCode.DATASET_INVALID, f"No row is left to train on: {reasons}", {"dropped": dict(dropped)})
    return fitting


def _openings(examples: Sequence[Example], room: Sequence[int], most: int) -> list[str]:
    """How some of those that do not fit begin, by which a person finds them."""
    return [example.opening[:200] for example, needed in zip(examples, room, strict=True) if needed >= most][:20]


def _split(
    examples: Sequence[Example], config: PreprocessingConfig, dropped: Counter[str]
) -> tuple[list[Example], list[Example]]:
    """Rows to train on, and rows held out that none of those gives away."""
    mask = held_out([_question(example) for example in examples], config.eval_ratio, config.seed)
    evaluation = list(compress(examples, mask))
    training = list(compress(examples, (not held for held in mask)))
    if config.contamination == "keep":
        return training, evaluation
    given_away = contaminated(_texts(training), _texts(evaluation), config.contamination_threshold)
    dropped["contaminated"] = sum(given_away)
    if config.contamination == "refuse" and any(given_away):
        found = [one.opening[:200] for one in compress(training, given_away)][:20]
        message = f"{sum(given_away)} rows to train on are nearly the same as rows that are held out"
        raise Refused(RefusalCode.DATASET_INVALID, message, {"contaminated": found})
    clean_rows = list(compress(training, (not given for given in given_away)))
    if not clean_rows:
        message = "Every row is nearly the same as one that is held out: there is nothing to learn from"
        raise Refused(RefusalCode.DATASET_INVALID, message, {"dropped": dict(dropped)})
    return clean_rows, evaluation


def _hand_on(
    work: Assignment,
    config: PreprocessingConfig,
    renderer: Renderer,
    examples: Sequence[Example],
    dropped: Counter[str],
) -> PreprocessingOutput:
    training, evaluation = _split(examples, config, dropped)
    truncated = sum(example.tokens > config.max_seq_length for example in (*training, *evaluation))
    for name, part in (("train.jsonl", training), ("eval.jsonl", evaluation)):
        rows = _write(part, work.directory / name)
        work.objects.put_file(work.place(name), rows)
        renderer.keep_tokens(rows, part)
    work.objects.put_directory(work.place(FOLDER), work.directory / FOLDER)
    statistics = {
        "dropped": dict(dropped),
        "truncated": truncated,
        "train": _token_statistics(training, config.max_seq_length),
        "eval": _token_statistics(evaluation, config.max_seq_length),
    }
    work.objects.put_bytes(work.place(STATISTICS), orjson.dumps(statistics, option=orjson.OPT_INDENT_2))
    reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count)
    work.progress.log("INFO", f"Dropped {dropped.total()} rows" + (f": {reasons}" if reasons else ""))
    train_tokens, eval_tokens = (
        sum(min(example.tokens, config.max_seq_length) for example in part) for part in (training, evaluation)
    )
    work.progress.log(
        "INFO",
        f"Preprocessed: {len(training)} rows to train on ({train_tokens} tokens),"
        f" {len(evaluation)} held out ({eval_tokens} tokens)",
    )
    assert config.base_model is not None  # noqa: S101 - `run` refused otherwise
    return PreprocessingOutput(
        base_model=config.base_model,
        template=config.template,
        chat_template=renderer.template,
        train_path=str(work.place("train.jsonl")),
        eval_path=str(work.place("eval.jsonl")),
        tokens_path=str(work.place(FOLDER)),
        data_path=need(work.step, DatasetOutput).s3_path,
        train_rows=len(training),
        eval_rows=len(evaluation),
        dropped_rows=dropped.total(),
        contaminated_rows=dropped["contaminated"],
        truncated_rows=truncated,
        train_tokens=train_tokens,
        eval_tokens=eval_tokens,
        max_seq_length=config.max_seq_length,
    )


def _texts(examples: Sequence[Example]) -> list[str]:
    return [f"{example.opening}\n{example.row.completion}" for example in examples]


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


def _token_statistics(examples: Sequence[Example], most: int) -> dict[str, float]:
    lengths = pl.Series([min(example.tokens, most) for example in examples])
    quantiles = {f"p{percent}": lengths.quantile(percent / 100) or 0.0 for percent in (50, 90, 99)}
    return {"rows": len(lengths), "tokens": lengths.sum(), "longest": lengths.max() or 0, **quantiles}  # type: ignore[dict-item]
