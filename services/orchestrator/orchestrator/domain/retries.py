"""Retries: a new job that goes on from one that has ended, since what has ended never changes."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import RetryJob
from contracts.pipeline import Edge, PipelineConfig
from orchestrator.domain.sweeps import applied, expanded

Outputs = Mapping[str, dict[str, Any]]
"""What completed agents have put out, by name."""

_RETRY = re.compile(r"(.+)-r(\d+)")
_LONGEST = 64


def definition(earlier: PipelineConfig, request: RetryJob) -> PipelineConfig:
    """What the new job is to do. Raises `Refused(CONFIG_INVALID)` for configurations of agents that there are not."""
    same = earlier.model_copy(update={"run_id": request.run_id})
    if not request.configs:
        return same
    whole = expanded(earlier)
    nodes = applied(whole.nodes, request.configs)
    return same.model_copy(update={"nodes": nodes, "edges": list(whole.edges)})


def kept(earlier: PipelineConfig, outputs: Outputs, request: RetryJob) -> Outputs:
    """What need not be done again: all but what is named or configured anew, what is not there, and what follows that.

    Raises `Refused(CONFIG_INVALID)` when `from_agent` is no agent of the job.
    """
    whole = expanded(earlier)
    names = {node.agent_name for node in whole.nodes}
    if request.from_agent is not None and request.from_agent not in names:
        message = f"from_agent names {request.from_agent!r}, which is no agent of this job"
        raise Refused(RefusalCode.CONFIG_INVALID, message, {"agent": request.from_agent})
    named = {name for name in (request.from_agent, *request.configs) if name in names}
    if not named and outputs.keys() >= names:
        return {}
    again = _with_followers(named | (names - outputs.keys()), whole.edges)
    return {name: output for name, output in outputs.items() if name not in again}


def root_of(run_id: str) -> str:
    """What the run ids of a run and of all its retries begin with."""
    match = _RETRY.fullmatch(run_id)
    return (match[1] if match else run_id)[: _LONGEST - 6]


def next_run_id(root: str, taken: Iterable[str]) -> str:
    """`<root>-r2` and so on: the first number above those that are taken."""
    numbers = [int(match[2]) for match in map(_RETRY.fullmatch, taken) if match is not None and match[1] == root]
    return f"{root}-r{max(numbers, default=1) + 1}"


def _with_followers(names: Collection[str], edges: Iterable[Edge]) -> Collection[str]:
    found, pairs = set(names), [(edge.from_agent, edge.to_agent) for edge in edges]
    while new := {after for before, after in pairs if before in found} - found:
        found |= new
    return found
