"""Small jobs for end-to-end tests."""

from itertools import pairwise
from typing import Any

from embedded.demo.api import Json


def pipeline(dataset_id: str, base_model: str, *, run_id: str, **training: Any) -> Json:
    """The seven agents in a row, training for some seconds."""
    nodes: list[tuple[str, str, Json]] = [
        ("dataset", "DatasetAgent", {"dataset_id": dataset_id}),
        ("validation", "ValidationAgent", {}),
        (
            "preprocessing",
            "PreprocessingAgent",
            {
                "base_model": base_model,
                "template": "alpaca",
                "template_mapping": {"instruction": "question", "output": "answer"},
                "max_seq_length": 192,
            },
        ),
        (
            "training",
            "TrainingAgent",
            {"method": "lora", "epochs": 2, "batch_size": 4, "learning_rate": 3e-3, "save_steps": 10} | training,
        ),
        ("evaluation", "EvaluationAgent", {"generate_samples": 1, "max_new_tokens": 8}),
        ("export", "ExportAgent", {"formats": ["adapter"]}),
        ("registration", "RegistrationAgent", {"model_name": run_id}),
    ]
    names = [name for name, _, _ in nodes]
    return {
        "pipeline_config": {
            "run_id": run_id,
            "nodes": [{"agent_name": name, "agent_class": kind, "config": config} for name, kind, config in nodes],
            "edges": [{"from_agent": a, "to_agent": b} for a, b in pairwise(names)],
            "global_config": {"max_retries": 3},
        }
    }
