"""Which agent does which class of step. Each is imported when it first has work: most bring torch, which takes seconds
and 400 MiB, and a trainer that has nothing to train, or only reads data, needs neither."""

from collections.abc import Mapping
from importlib import import_module

from contracts.pipeline import AgentOutput
from trainer.agents.assignment import Agent, Assignment


def _of(module: str) -> Agent:
    def run(work: Assignment) -> AgentOutput:
        output: AgentOutput = import_module(f"trainer.agents.{module}").run(work)
        return output

    return run


AGENTS: Mapping[str, Agent] = {
    "DatasetAgent": _of("dataset"),
    "ValidationAgent": _of("validation"),
    "PreprocessingAgent": _of("preprocessing"),
    "TrainingAgent": _of("training"),
    "EvaluationAgent": _of("evaluation"),
    "ComparisonAgent": _of("comparison"),
    "ExportAgent": _of("export"),
}
"""Every agent but registration, which is one question to the registry and needs no process of its own."""
