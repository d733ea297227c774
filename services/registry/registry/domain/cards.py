"""Model cards in the form of the Hugging Face hub: metadata as YAML between two `---` lines, then Markdown."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contracts.pipeline import LearningRateChange
from contracts.registry import Dataset, LineageStep, Model
from registry.domain.comparing import lower_is_better
from registry.domain.plots import Point

_METRIC_NAMES: Mapping[str, str] = {
    "loss": "Loss (nats per token)",
    "perplexity": "Perplexity",
    "token_accuracy": "Token accuracy",
    "exact_match": "Exact match",
    "token_f1": "Token F1",
    "rouge_l": "ROUGE-L",
    "accuracy": "Accuracy",
    "f1": "Macro F1",
    "first_loss": "First training loss (nats per token)",
    "final_loss": "Final training loss (nats per token)",
}
_BASE = "base_"
_EVALUATED = "eval_"
_CHANGES = "learning_rate_changes"


def card(
    model: Model, dataset: Dataset | None, curve: Sequence[Point] = (), lineage: Sequence[LineageStep] = ()
) -> str:
    """The card of `model`; `dataset` is what it was trained on, where the registry knows it, `curve` the losses and
    `lineage` where it came from."""
    sections = [
        f"---\n{_metadata(model, dataset)}---",
        f"# {_inline(model.model_name)}",
        _description(model),
        _training(model, curve),
        _data(model, dataset),
        _evaluation(model),
        *_checks(model),
        *_lineage(lineage),
        _limitations(model),
        _use(model),
    ]
    return "\n\n".join(sections) + "\n"


# Metadata


def _metadata(model: Model, dataset: Dataset | None) -> str:
    method = model.training_config.get("method")
    adapter = "adapter" in model.exports
    tags = ["text-generation", "fine-tuned", *([method] if isinstance(method, str) else []), *model.tags]
    lines = [
        f"base_model: {_quoted(model.base_model)}",
        f"base_model_relation: {'adapter' if adapter else 'finetune'}",
        f"library_name: {'peft' if adapter else 'transformers'}",
        "pipeline_tag: text-generation",
        *_listed("tags", dict.fromkeys(tags)),
    ]
    if model.dataset_id is not None:
        lines += _listed("datasets", [model.dataset_id])
    lines += _results(model, dataset)
    return "\n".join(lines) + "\n"


def _results(model: Model, dataset: Dataset | None) -> list[str]:
    """The metrics as the hub reads them, to show and to compare them."""
    if not model.metrics:
        return []
    name = dataset.filename if dataset is not None else model.dataset_id or "held-out rows"
    lines = [
        "model-index:",
        f"- name: {_quoted(model.model_name)}",
        "  results:",
        "  - task:",
        "      type: text-generation",
        "    dataset:",
        f"      name: {_quoted(name)}",
        f"      type: {_quoted(model.dataset_id or 'custom')}",
        "    metrics:",
    ]
    for key, value in model.metrics.items():
        lines += [f"    - type: {_quoted(key)}", f"      value: {value!r}"]
    return lines


def _listed(key: str, values: Iterable[str]) -> list[str]:
    return [f"{key}:", *(f"- {_quoted(value)}" for value in values)]


def _quoted(text: str) -> str:
    """`text` as a double-quoted YAML scalar, safe whatever it holds."""
    quoted = json.dumps(text, ensure_ascii=False)
    return _NOT_PRINTABLE_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


_NOT_PRINTABLE_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


# Sections


def _description(model: Model) -> str:
    method = str(model.training_config.get("method", "fine-tuning"))
    lines = [
        "## Model Description",
        f"This model was fine-tuned from {_code(model.base_model)} with {_inline(_METHODS.get(method, method))}.",
    ]
    if model.description.strip():
        lines.append(model.description.strip())
    facts = [
        ("Model id", _code(model.model_id)),
        ("Version", f"{model.version} of {_code(model.model_name)}"),
        *([("Aliases", ", ".join(_code(alias) for alias in model.aliases))] if model.aliases else []),
        ("Run", _code(model.run_id)),
        ("Registered", model.created_at.strftime("%Y-%m-%d %H:%M UTC")),
        ("Exports", ", ".join(_code(name) for name in model.exports)),
    ]
    lines.append("\n".join(f"- **{name}:** {value}" for name, value in facts))
    return "\n\n".join(lines)


_METHODS: Mapping[str, str] = {"lora": "LoRA", "qlora": "QLoRA", "full": "full fine-tuning"}


def _training(model: Model, curve: Sequence[Point]) -> str:
    idle = {_CHANGES, *(name for only, names in _ONLY_WITH.items() if not _is_with(model, only) for name in names)}
    asked = {name: value for name, value in model.training_config.items() if value is not None and name not in idle}
    rows = [(_code(name), _code(_plain(value))) for name, value in asked.items()]
    text = _table(("Parameter", "Value"), rows) if rows else "Nothing was recorded of the training."
    parts = ["## Training Configuration", text, *_changes(model), *_losses(model, curve)]
    return "\n\n".join(parts)


_ONLY_WITH: Mapping[tuple[str, tuple[Any, ...]], Sequence[str]] = {
    ("method", ("lora", "qlora")): ("lora_r", "lora_alpha", "lora_dropout", "target_modules"),
    ("objective", ("dpo",)): ("dpo_beta",),
}
"""Settings that do nothing but with certain values of another."""


def _is_with(model: Model, only: tuple[str, tuple[Any, ...]]) -> bool:
    name, values = only
    return model.training_config.get(name, values[0]) in values


def _changes(model: Model) -> list[str]:
    """What people made of the learning rate while the model was trained."""
    changes = [LearningRateChange.model_validate(change) for change in model.training_config.get(_CHANGES, [])]
    if not changes:
        return []
    rows = [
        (str(c.step), f"{c.previous:g}", f"{c.learning_rate:g}", _inline(c.by), c.at.strftime("%Y-%m-%d %H:%M UTC"))
        for c in changes
    ]
    return ["### Learning Rate, Changed Meanwhile", _table(("From step", "From", "To", "By", "When"), rows)]


def _losses(model: Model, curve: Sequence[Point]) -> list[str]:
    if not curve:
        return []
    shown = [curve[index * (len(curve) - 1) // 4] for index in range(5)] if len(curve) > 5 else list(curve)
    rows = [(str(point.step), _told(point.loss), _told(point.eval_loss)) for point in shown]
    return [
        "### Loss",
        f"![Loss by step](/api/v1/models/{model.model_id}/loss.svg)",
        _table(("Step", "Training loss", "Held-out loss"), rows),
    ]


def _told(loss: float | None) -> str:
    return "" if loss is None else _number(loss)


def _checks(model: Model) -> list[str]:
    if not model.checks:
        return []
    rows = [(_code(check.format), check.quantization or "", f"{check.top1_agreement:.2%}") for check in model.checks]
    note = (
        "Each export was loaded again before it was registered, and its logits compared. Below: at how many positions"
        " of a random text its most probable token is that of the trained model."
    )
    table = _table(("Export", "Type", "Same most probable token"), rows)
    return [f"## Exports\n\n{note}\n\n{table}"]


def _lineage(steps: Sequence[LineageStep]) -> list[str]:
    if not steps:
        return []
    rows = [(step.kind, _code(step.name), "" if step.path is None else _code(step.path)) for step in steps]
    return [f"## Lineage\n\nBack to the rows, step by step:\n\n{_table(('Step', 'Name', 'Where'), rows)}"]


def _data(model: Model, dataset: Dataset | None) -> str:
    if dataset is not None:
        columns = ", ".join(_code(name) for name in dataset.columns)
        text = "\n".join(
            (
                f"- **Data set:** {_code(dataset.dataset_id)}, {_code(dataset.filename)} ({dataset.format})",
                f"- **Rows:** {dataset.rows:,}, of which {dataset.analysis.duplicate_rows:,} repeat another",
                f"- **Columns:** {columns}",
                f"- **SHA-256:** {_code(dataset.sha256)}",
            )
        )
    elif model.dataset_id is not None:
        text = f"Data set {_code(model.dataset_id)}."
    else:
        text = "The data came from an object that is not in the registry of data sets."
    return f"## Training Data\n\n{text}"


def _evaluation(model: Model) -> str:
    heading = "## Evaluation Metrics"
    if not model.metrics:
        return f"{heading}\n\nThe model was not evaluated."
    rows = [
        (_inline(_title(name)), _number(value), "" if base is None else _number(base))
        for name, value, base in _compared(model.metrics)
    ]
    if all(base == "" for _, _, base in rows):
        return f"{heading}\n\n{_table(('Metric', 'This model'), [row[:2] for row in rows])}"
    return f"{heading}\n\n{_table(('Metric', 'This model', 'Base model'), rows)}"


def _limitations(model: Model) -> str:
    points = [
        "It was measured on held-out rows of its own training data, so the numbers say little about other text.",
        f"What {_code(model.base_model)} gets wrong, it can get wrong too; its licence and terms go on to hold.",
        "It was not checked for safety, bias or facts. Do not rely on its answers without checking them.",
    ]
    if not any(base is not None for _, _, base in _compared(model.metrics)):
        points[0] = "It was not compared with its base model, so nothing shows that the training made it better."
    worse = [
        _title(name)
        for name, value, base in _compared(model.metrics)
        if base is not None and (value >= base if lower_is_better(name) else value <= base)
    ]
    if worse:
        points.insert(0, f"On the held-out rows it is no better than its base model by: {_inline(', '.join(worse))}.")
    return "## Limitations\n\n" + "\n".join(f"- {point}" for point in points)


def _use(model: Model) -> str:
    body = json.dumps({"model": model.model_name, "messages": [{"role": "user", "content": "Hello"}]})
    command = (
        'curl "$PLATFORM_URL/v1/chat/completions" \\\n'
        '  -H "Authorization: Bearer $PLATFORM_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'"
    )
    version = _code(f"{model.model_name}@{model.version}")
    return (
        "## How to Use\n\nAsk it through the platform's OpenAI-compatible API. Its name asks for the newest model of "
        f"that name, its id ({_code(model.model_id)}) or {version} for this one:\n\n```bash\n{command}\n```"
    )


# Metrics


def _compared(metrics: Mapping[str, float]) -> list[tuple[str, float, float | None]]:
    """Each metric of the model with the same metric of its base: `base_loss` is that of `eval_loss`, or of `loss`.

    Those that can be compared come first.
    """
    bases = {name.removeprefix(_BASE): value for name, value in metrics.items() if name.startswith(_BASE)}
    own = [name for name in metrics if not name.startswith(_BASE)]
    return sorted(((name, metrics[name], bases.get(_key(name))) for name in own), key=lambda row: row[2] is None)


def _key(name: str) -> str:
    return name.removeprefix(_EVALUATED)


def _title(name: str) -> str:
    return _METRIC_NAMES.get(_key(name), name.replace("_", " ").capitalize())


def _number(value: float) -> str:
    return f"{value:.4g}"


# Markdown


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _code(text: str) -> str:
    """`text` as a code span, on one line, whatever quotes it holds."""
    line = " ".join(text.split())
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`"


def _inline(text: str) -> str:
    """`text` on one line, its Markdown and HTML taken as text."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~])", r"\\\1", " ".join(text.split()))
