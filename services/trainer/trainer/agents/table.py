"""Which agent does which class of step. Importing this imports torch, so only the child process does."""

from collections.abc import Mapping

from trainer.agents import comparison, dataset, evaluation, export, preprocessing, training, validation
from trainer.agents.assignment import Agent

AGENTS: Mapping[str, Agent] = {
    "DatasetAgent": dataset.run,
    "ValidationAgent": validation.run,
    "PreprocessingAgent": preprocessing.run,
    "TrainingAgent": training.run,
    "EvaluationAgent": evaluation.run,
    "ComparisonAgent": comparison.run,
    "ExportAgent": export.run,
}
"""Every agent but registration, which is one question to the registry and needs no process of its own."""
