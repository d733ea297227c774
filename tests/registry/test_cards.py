"""Model cards, read back as the hub reads them."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from contracts.registry import Dataset, DatasetAnalysis, LengthStats, LineageStep, Model
from registry.domain.cards import card

MODEL = Model(
    model_id="model_0123456789abcdef",
    run_id="abc123",
    model_name="llama2-finetuned",
    description="Answers questions.",
    base_model="meta-llama/Llama-2-7b-hf",
    dataset_id="ds_xyz78900",
    training_config={
        "method": "qlora",
        "lora_r": 16,
        "learning_rate": 2e-4,
        "target_modules": ["q"],
        "max_steps": None,
    },
    metrics={
        "final_loss": 0.42,
        "eval_loss": 0.5,
        "base_loss": 1.5,
        "perplexity": 1.6487,
        "base_perplexity": 4.4817,
        "token_accuracy": 0.92,
        "base_token_accuracy": 0.5,
    },
    exports={"adapter": "s3://artifacts/abc123/adapter", "merged": "s3://artifacts/abc123/merged"},
    chat_template=None,
    created_at=datetime(2025, 12, 13, 1, tzinfo=UTC),
)
DATASET = Dataset(
    dataset_id="ds_xyz78900",
    filename="training|data.csv",
    format="csv",
    size_bytes=10,
    sha256="ab" * 32,
    s3_path="s3://datasets/ds_xyz78900/training_data.csv",
    rows=10_000,
    columns=["text", "la`bel"],
    analysis=DatasetAnalysis(
        rows=10_000,
        columns=["text", "la`bel"],
        column_types={"text": "string", "la`bel": "integer"},
        text_column="text",
        stats=LengthStats(avg_length=1.0, min_length=1, max_length=1),
        missing={"text": 0, "la`bel": 0},
        duplicate_rows=7,
    ),
    created_at=datetime(2025, 12, 13, tzinfo=UTC),
)


def metadata(markdown: str) -> dict[str, Any]:
    start, block, _ = markdown.split("---\n", 2)
    assert start == ""
    loaded: dict[str, Any] = yaml.safe_load(block)
    return loaded


def but(**changes: Any) -> Model:
    return MODEL.model_copy(update=changes)


def test_the_metadata_says_what_the_hub_asks_for() -> None:
    said = metadata(card(MODEL, DATASET))
    (results,) = said.pop("model-index")[0]["results"]
    assert results["task"] == {"type": "text-generation"}
    assert results["dataset"] == {"name": "training|data.csv", "type": "ds_xyz78900"}
    assert {metric["type"]: metric["value"] for metric in results["metrics"]} == MODEL.metrics
    assert said == {
        "base_model": "meta-llama/Llama-2-7b-hf",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["text-generation", "fine-tuned", "qlora"],
        "datasets": ["ds_xyz78900"],
    }


def test_the_hubs_own_library_reads_the_card_and_its_results() -> None:
    """It drops results that are not of the hub's form, and complains of metadata that is not."""
    read = ModelCard(card(MODEL, DATASET), ignore_metadata_errors=False)
    results = read.data.eval_results
    assert results is not None
    assert {result.metric_type: result.metric_value for result in results} == MODEL.metrics
    assert {(result.task_type, result.dataset_type) for result in results} == {("text-generation", "ds_xyz78900")}
    assert (read.data.model_name, read.data.base_model) == (MODEL.model_name, MODEL.base_model)
    assert read.text.lstrip().startswith("# llama2-finetuned")


def test_the_way_back_to_the_rows_is_told() -> None:
    steps = [
        LineageStep(kind="training", name="TrainingAgent", path="s3://artifacts/abc123/training/model"),
        LineageStep(kind="file", name="a|b.csv"),
    ]
    lines = card(MODEL, DATASET, lineage=steps).splitlines()
    assert "| training | `TrainingAgent` | `s3://artifacts/abc123/training/model` |" in lines
    assert "| file | `a\\|b.csv` |  |" in lines


def test_a_model_without_an_adapter_is_one_of_transformers() -> None:
    found = metadata(card(but(exports={"merged": "s3://artifacts/a"}, dataset_id=None), None))
    assert (found["library_name"], found["base_model_relation"], "datasets" in found) == (
        "transformers",
        "finetune",
        False,
    )


@pytest.mark.parametrize(
    "hostile",
    [
        'a"\ntags: [evil]\n---\n',
        "- not: a list",
        "null",
        "#comment",
        "'single' \\ back",
        "tab\tnul\0del\x7fnel\x85ls\u2028bom\ufeff",
        "🙂 emoji",
        "{{ template }} %d *anchor &ref !tag",
    ],
)
def test_what_a_caller_wrote_stays_a_value(hostile: str) -> None:
    model = but(base_model=hostile, dataset_id=hostile, training_config={"method": hostile})
    found = metadata(card(model, None))
    assert (found["base_model"], found["datasets"], found["tags"][-1]) == (hostile, [hostile], hostile)


def test_the_sections_of_the_documented_card_are_there_in_order() -> None:
    markdown = card(MODEL, DATASET)
    headings = [line for line in markdown.splitlines() if line.startswith("#")]
    assert headings == [
        "# llama2-finetuned",
        "## Model Description",
        "## Training Configuration",
        "## Training Data",
        "## Evaluation Metrics",
        "## Limitations",
        "## How to Use",
    ]
    assert "This model was fine-tuned from `meta-llama/Llama-2-7b-hf` with QLoRA." in markdown
    assert "Answers questions." in markdown


def test_metrics_stand_beside_those_of_the_base_model() -> None:
    lines = card(MODEL, DATASET).splitlines()
    assert "| Metric | This model | Base model |" in lines
    assert "| Loss (nats per token) | 0.5 | 1.5 |" in lines
    assert "| Perplexity | 1.649 | 4.482 |" in lines
    assert "| Token accuracy | 0.92 | 0.5 |" in lines
    assert "| Final training loss (nats per token) | 0.42 |  |" in lines


def test_without_a_comparison_no_column_pretends_one() -> None:
    markdown = card(but(metrics={"accuracy": 0.9, "f1": 0.89}), None)
    assert "| Metric | This model |\n| --- | --- |\n| Accuracy | 0.9 |\n| Macro F1 | 0.89 |" in markdown
    assert "not compared with its base model" in markdown
    assert "The model was not evaluated." in card(but(metrics={}), None)


def test_a_model_that_is_no_better_than_its_base_says_so() -> None:
    worse = but(metrics={"eval_loss": 2.0, "base_loss": 1.5, "token_accuracy": 0.9, "base_token_accuracy": 0.5})
    markdown = card(worse, None)
    assert "no better than its base model by: Loss (nats per token)." in markdown
    assert "no better" not in card(MODEL, None)


def test_the_training_configuration_is_a_table() -> None:
    lines = card(MODEL, DATASET).splitlines()
    assert "| `lora_r` | `16` |" in lines
    assert '| `target_modules` | `["q"]` |' in lines
    assert not any("max_steps" in line for line in lines)
    whole = card(
        but(training_config={**MODEL.training_config, "method": "full", "objective": "sft", "dpo_beta": 0.1}), None
    )
    assert "`learning_rate`" in whole
    assert not any(name in whole for name in ("`lora_r`", "`target_modules`", "`dpo_beta`"))
    assert "| `a\\|b` | `x\\|y z` |" in card(but(training_config={"a|b": "x|y\nz"}), None).splitlines()


def test_what_people_made_of_the_learning_rate_is_told_beside_what_was_asked_for() -> None:
    change = {"step": 120, "previous": 2e-4, "learning_rate": 5e-5, "by": "Ada|x", "at": "2025-12-13T00:30:00Z"}
    lines = card(but(training_config={**MODEL.training_config, "learning_rate_changes": [change]}), None).splitlines()
    assert "| `learning_rate` | `0.0002` |" in lines
    assert any(line.startswith("| 120 | 0.0002 | 5e-05 | Ada") and "2025-12-13 00:30 UTC" in line for line in lines)
    assert not any("`learning_rate_changes`" in line for line in lines)


def test_the_data_is_described() -> None:
    markdown = card(MODEL, DATASET)
    assert "- **Rows:** 10,000, of which 7 repeat another" in markdown
    assert "`text`, `` la`bel ``" in markdown
    assert "`ds_xyz78900`" in card(MODEL, None)
    assert "not in the registry" in card(but(dataset_id=None), None)


def test_the_card_tells_how_to_ask_the_model() -> None:
    markdown = card(MODEL, DATASET)
    assert "/v1/chat/completions" in markdown
    assert '"model": "llama2-finetuned"' in markdown
