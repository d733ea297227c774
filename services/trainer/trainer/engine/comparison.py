"""Several models on the same rows: who is best, and how sure that is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from contracts.base import RefusalCode, Refused
from contracts.pipeline import ComparisonConfig, Contestant
from trainer.domain.measures import Bootstrap, Measures, is_better
from trainer.domain.work import Progress
from trainer.engine.examination import Examination
from trainer.engine.examples import Row


@dataclass(frozen=True)
class Entrant:
    """A model to compare: the one in `base_dir`, with the adapter in `adapter_dir`, or the whole one in `model_dir`."""

    name: str
    base_model: str
    base_dir: Path
    adapter_dir: Path | None = None
    model_dir: Path | None = None
    model_path: str | None = None
    model_id: str | None = None


@dataclass(frozen=True)
class Ranking:
    """`contestants` best first; `measures` of each, by name; `rows` are those that all were measured on."""

    contestants: list[Contestant]
    measures: Mapping[str, Measures]
    rows: Sequence[Row]


def compare(
    entrants: Sequence[Entrant],
    rows: Sequence[Row],
    config: ComparisonConfig,
    *,
    max_seq_length: int,
    progress: Progress,
) -> Ranking:
    """One model is in memory at a time; those of one base share it, and their adapters come and go.

    Raises `Refused`: CONFIG_INVALID for a metric that the rows do not have, or by which models of these tokenizers do
    not compare, TRAINING_FAILED for a model whose losses are no numbers.
    """
    measures: dict[str, Measures] = {}
    kept: Sequence[Row] = rows
    for base_dir in dict.fromkeys(entrant.base_dir for entrant in entrants):
        examination = Examination.prepare(base_dir, kept, config, max_seq_length)
        _check_same(kept, examination.rows, measures)
        kept = examination.rows
        of_base = [entrant for entrant in entrants if entrant.base_dir == base_dir]
        for entrant, found in _measured(examination, of_base):
            progress.log("INFO", f"Measured {entrant.name}: " + _told(found))
            measures[entrant.name] = found
    return Ranking(_ranked(entrants, measures, config), measures, kept)


def _measured(examination: Examination, entrants: Sequence[Entrant]) -> Iterator[tuple[Entrant, Measures]]:
    shared = [entrant for entrant in entrants if entrant.model_dir is None]
    if shared:
        model = examination.load(shared[0].base_dir)
        for entrant in shared:
            with _with_adapter(model, entrant.adapter_dir) as asked:
                yield entrant, examination.take(asked, entrant.name)
        del model
    for entrant in entrants:
        if entrant.model_dir is not None:
            yield entrant, examination.take(examination.load(entrant.model_dir), entrant.name)


@contextmanager
def _with_adapter(model: Any, adapter_dir: Path | None) -> Iterator[Any]:
    if adapter_dir is None:
        yield model
        return
    adapted = PeftModel.from_pretrained(model, adapter_dir)
    try:
        yield adapted
    finally:
        adapted.unload()


def _ranked(
    entrants: Sequence[Entrant], measures: Mapping[str, Measures], config: ComparisonConfig
) -> list[Contestant]:
    metric = config.metric
    first = next(iter(measures.values()))
    if metric not in first.known():
        there = ", ".join(first.known())
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            f"The models cannot be compared by {metric!r}: these rows have {there}",
            {"errors": [{"field": "metric", "message": f"one of {there}"}]},
        )
    if not all(found.compares_with(first, metric) for found in measures.values()):
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            f"The models cannot be compared by {metric!r}, which is a mean over tokens: their tokenizers part the rows"
            " differently. Compare them by their answers, as by 'token_f1'",
            {"errors": [{"field": "metric", "message": "the models' tokenizers part the rows differently"}]},
        )
    bootstrap = Bootstrap(config.resamples, config.confidence, config.seed)
    values = {name: found.metrics()[metric] for name, found in measures.items()}
    draws = {name: found.draws(metric, bootstrap.rows(found.count(metric))) for name, found in measures.items()}
    losses = {name: found.metrics()["loss"] for name, found in measures.items()}
    # Of equals, as answers to a few rows often are, the one with the lower loss is the better.
    sign = 1 if is_better(metric, 0.0, 1.0) else -1
    best_first = sorted(entrants, key=lambda entrant: (sign * values[entrant.name], losses[entrant.name]))
    best = best_first[0].name

    def contestant(entrant: Entrant) -> Contestant:
        name, found = entrant.name, measures[entrant.name]
        behind = bootstrap.interval(sign * (values[name] - values[best]), sign * (draws[name] - draws[best]))
        return Contestant(
            name=name,
            base_model=entrant.base_model,
            model_path=entrant.model_path,
            model_id=entrant.model_id,
            score=bootstrap.interval(values[name], draws[name]),
            behind=None if name == best else behind,
            metrics=found.metrics(),
        )

    return [contestant(entrant) for entrant in best_first]


def _check_same(before: Sequence[Row], now: Sequence[Row], measures: Mapping[str, Measures]) -> None:
    """Paired differences need the same rows: another tokenizer may have left some out."""
    if measures and len(before) != len(now):
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            "The models cannot be compared on the same rows: some are too long for the tokenizer of one of them;"
            " raise max_seq_length or lower max_rows",
        )


def _told(found: Measures) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in found.metrics().items())
