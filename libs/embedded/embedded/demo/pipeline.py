"""The job that the demo submits: raw rows in, a registered LoRA adapter out."""

from itertools import pairwise
from typing import Any

MODEL_NAME = "python-docs"


def job(dataset_id: str, base_model: str, epochs: float) -> dict[str, Any]:
    """Document E's job with all seven agents in a row, on the columns `question` and `answer`."""
    nodes: list[tuple[str, str, dict[str, Any]]] = [
        ("dataset", "DatasetAgent", {"dataset_id": dataset_id}),
        ("validation", "ValidationAgent", {"required_columns": ["question", "answer"], "min_rows": 100}),
        (
            "preprocessing",
            "PreprocessingAgent",
            {
                "base_model": base_model,
                "clean": True,
                "dedup": True,
                "template": "alpaca",
                "template_mapping": {"instruction": "question", "output": "answer"},
                "eval_ratio": 0.1,
                "max_seq_length": 256,
            },
        ),
        (
            "training",
            "TrainingAgent",
            {
                "method": "lora",
                "lora_r": 16,
                "lora_alpha": 32,
                "epochs": epochs,
                "batch_size": 8,
                "learning_rate": 3e-3,
                "logging_steps": 10,
                "save_steps": 100,
            },
        ),
        ("evaluation", "EvaluationAgent", {"generate_samples": 2}),
        ("export", "ExportAgent", {"formats": ["adapter"]}),
        ("registration", "RegistrationAgent", {"model_name": MODEL_NAME}),
    ]
    names = [name for name, _, _ in nodes]
    return {
        "pipeline_config": {
            "nodes": [{"agent_name": name, "agent_class": kind, "config": config} for name, kind, config in nodes],
            "edges": [{"from_agent": a, "to_agent": b} for a, b in pairwise(names)],
            "global_config": {"max_retries": 3},
        }
    }
