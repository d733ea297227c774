"""ComparisonAgent: ranks models that were trained before it, and registered ones, on one set of held-out rows."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

import orjson

from contracts.base import RefusalCode, Refused
from contracts.pipeline import ComparisonConfig, ComparisonOutput, PreprocessingOutput, TrainingOutput
from contracts.registry import Model
from trainer.agents.assignment import Assignment
from trainer.agents.evaluation import shown
from trainer.domain.configuration import config_of
from trainer.domain.inputs import need
from trainer.engine.comparison import Entrant, Ranking, compare
from trainer.engine.examples import read_rows
from trainer.engine.models import fetch, resolve_model


def run(work: Assignment) -> ComparisonOutput:
    """Raises `Refused`: CONFIG_INVALID when there is nothing to compare, DATASET_INVALID, STORAGE_FAILED."""
    config = config_of(work.step, ComparisonConfig)
    rows = need(work.step, PreprocessingOutput)
    entrants = _entrants(work, config)
    work.progress.log("INFO", f"Comparing {', '.join(entrant.name for entrant in entrants)} by {config.metric}")
    ranking = compare(
        entrants,
        list(islice(read_rows(work.fetch(rows.eval_path)), config.max_rows)),
        config,
        max_seq_length=rows.max_seq_length,
        progress=work.progress,
    )
    report = work.place("comparison.json")
    work.objects.put_bytes(report, _report(ranking, config))
    output = _output(ranking, config, str(report))
    for place, contestant in enumerate(output.ranking, start=1):
        score = contestant.score
        told = f"{place}. {contestant.name}: {config.metric} {score.value:.4g} ({score.low:.4g} to {score.high:.4g})"
        if contestant.behind is not None and contestant.behind.low <= 0:
            told += ", which may be chance"
        work.progress.log("INFO", told)
    return output


def _entrants(work: Assignment, config: ComparisonConfig) -> list[Entrant]:
    trained = [output for output in work.step.inputs if isinstance(output, TrainingOutput)]
    names = _apart([output.model_path.split("/")[-2] for output in reversed(trained)])
    found = [_trained(work, output, name) for output, name in zip(reversed(trained), names, strict=True)]
    found += [_registered(work, model) for model in _once(work.models)]
    if config.include_base:
        bases = dict.fromkeys((entrant.base_model, entrant.base_dir) for entrant in found)
        found += [Entrant(f"base {reference}", reference, directory) for reference, directory in bases]
    if len(found) < 2:
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            "ComparisonAgent needs two models at least: trained before it, or named in models",
            {"errors": [{"field": "models", "message": "name registered models to compare"}]},
        )
    return found


def _trained(work: Assignment, output: TrainingOutput, name: str) -> Entrant:
    folder = work.fetch_directory(output.model_path)
    is_whole = output.method == "full"
    return Entrant(
        name=name,
        base_model=output.base_model,
        base_dir=fetch(resolve_model(output.base_model, work.models_dir)),
        adapter_dir=None if is_whole else folder,
        model_dir=folder if is_whole else None,
        model_path=output.model_path,
    )


def _registered(work: Assignment, model: Model) -> Entrant:
    """As it is served: its adapter where it has one, else the whole model. A GGUF file alone is not compared."""
    kind = next((kind for kind in ("adapter", "merged") if kind in model.exports), None)
    if kind is None:
        raise Refused(
            RefusalCode.CONFIG_INVALID,
            f"{model.model_id} has neither an adapter nor a merged export, and cannot be compared",
            {"errors": [{"field": "models", "message": f"{model.model_id} has no adapter and no merged export"}]},
        )
    folder = work.fetch_directory(model.exports[kind])
    return Entrant(
        name=f"{model.model_name}@{model.version}",
        base_model=model.base_model,
        base_dir=fetch(resolve_model(model.base_model, work.models_dir)),
        adapter_dir=folder if kind == "adapter" else None,
        model_dir=folder if kind == "merged" else None,
        model_id=model.model_id,
    )


def _output(ranking: Ranking, config: ComparisonConfig, report_path: str) -> ComparisonOutput:
    best = ranking.contestants[0]
    measures = ranking.measures[best.name]
    return ComparisonOutput(
        metric=config.metric,
        task="generation" if measures.labels is None else "classification",
        rows=len(ranking.rows),
        generated_rows=sum(result.answer is not None for result in measures.results),
        ranking=[
            contestant.model_copy(update={"confusion": shown(ranking.measures[contestant.name].confusion())})
            for contestant in ranking.contestants
        ],
        best=best.name,
        best_model_path=best.model_path,
        best_model_id=best.model_id,
        report_path=report_path,
    )


def _report(ranking: Ranking, config: ComparisonConfig) -> bytes:
    """Everything that the ranking was made of: each row with every model's loss and answer."""
    rows = [
        {
            "prompt": row.prompt,
            "reference": row.completion,
            "models": {
                name: {
                    "loss": found.results[index].loss / found.results[index].tokens,
                    "answer": found.results[index].answer,
                }
                for name, found in ranking.measures.items()
            },
        }
        for index, row in enumerate(ranking.rows)
    ]
    ranked = [contestant.model_dump(mode="json") for contestant in ranking.contestants]
    content = {"config": config.model_dump(mode="json"), "ranking": ranked, "rows": rows}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def _once(models: Iterable[Model]) -> list[Model]:
    return list({model.model_id: model for model in models}.values())


def _apart(names: list[str]) -> list[str]:
    """Names that no two share: results that were used again may come from agents of the same name."""
    seen: Counter[str] = Counter()
    apart = []
    for name in names:
        seen[name] += 1
        apart.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return apart
