"""Sweeps: an agent that is to try several values becomes as many agents, and so does what follows from it.

```
                  training-1 → evaluation-1 ┐
preprocessing ─┬─                           ├→ comparison → export → registration
               └─ training-2 → evaluation-2 ┘
```
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.pipeline import Edge, Node, PipelineConfig

MOST_AGENTS = 200
_JOINS = frozenset({"ComparisonAgent"})
"""Agents that bring the branches of a sweep together: there is one for all of them."""


@dataclass(frozen=True)
class Expansion:
    """A job without sweeps. `tried` are the values that each agent of one has or follows from, by name."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    tried: Mapping[str, Mapping[str, Any]]


def expanded(definition: PipelineConfig) -> Expansion:
    """The agents that a job consists of. Raises `Refused(CONFIG_INVALID)` for a sweep that cannot be."""
    made = Expansion(tuple(definition.nodes), tuple(definition.edges), {})
    while (swept := next((node for node in made.nodes if node.sweep), None)) is not None:
        made = _branched(made, swept)
    return made


def _branched(made: Expansion, swept: Node) -> Expansion:
    """Each combination of the values gets a branch of its own."""
    if twice := sorted(swept.sweep.keys() & swept.config.keys()):
        raise _invalid(swept, f"has {twice[0]!r} both in its config and in its sweep", field=twice[0])
    branch = _branch(made, swept)
    count = prod(map(len, swept.sweep.values()))
    if (total := len(made.nodes) + (count - 1) * len(branch)) > MOST_AGENTS:
        raise _invalid(swept, f"has a sweep that makes a job of {total} agents; {MOST_AGENTS} are allowed")
    combinations = [dict(zip(swept.sweep, values, strict=True)) for values in product(*swept.sweep.values())]
    tried = {name: values for name, values in made.tried.items() if name not in branch}
    nodes: list[Node] = []
    for node in made.nodes:
        if node.agent_name not in branch:
            nodes.append(node)
            continue
        for number, values in enumerate(combinations, start=1):
            copy = _copy(node, number, values if node is swept else None)
            tried[copy.agent_name] = {**made.tried.get(node.agent_name, {}), **values}
            nodes.append(copy)
    edges = tuple(edge for old in made.edges for edge in _edges(old, branch, count))
    return replace(made, nodes=tuple(nodes), edges=edges, tried=tried)


def _branch(made: Expansion, swept: Node) -> Collection[str]:
    """The names of the agent and of those that follow from it, before any that joins."""
    joins = {node.agent_name for node in made.nodes if node.agent_class in _JOINS}
    following: defaultdict[str, list[str]] = defaultdict(list)
    for edge in made.edges:
        following[edge.from_agent].append(edge.to_agent)
    found, left = {swept.agent_name}, [swept.agent_name]
    while left:
        new = set(following[left.pop()]) - found - joins
        found |= new
        left += new
    return found & {node.agent_name for node in made.nodes}


def _copy(node: Node, number: int, values: Mapping[str, Any] | None) -> Node:
    name = _numbered(node.agent_name, number)
    config = dict(node.config)
    if values is not None:
        return node.model_copy(update={"agent_name": name, "config": {**config, **values}, "sweep": {}})
    if isinstance(config.get("model_name"), str):
        # Models of one sweep are told apart by their names.
        config["model_name"] = _numbered(config["model_name"], number)
    return node.model_copy(update={"agent_name": name, "config": config})


def _edges(old: Edge, branch: Collection[str], count: int) -> Iterator[Edge]:
    if old.from_agent not in branch and old.to_agent not in branch:
        yield old
        return
    for number in range(1, count + 1):
        before, after = (_numbered(end, number) if end in branch else end for end in (old.from_agent, old.to_agent))
        yield Edge(from_agent=before, to_agent=after)


def _numbered(name: str, number: int) -> str:
    """Within the length that a name may have."""
    ending = f"-{number}"
    return name[: 64 - len(ending)] + ending


def _invalid(node: Node, problem: str, **metadata: str) -> Refused:
    message = f"The {node.agent_class} {node.agent_name!r} {problem}"
    return Refused(RefusalCode.CONFIG_INVALID, message, {"agent": node.agent_name, **metadata})


def applied(nodes: Sequence[Node], configs: Mapping[str, Mapping[str, Any]]) -> list[Node]:
    """The nodes with these fields over those of their configurations. Raises `Refused(CONFIG_INVALID)`."""
    if unknown := sorted(configs.keys() - {node.agent_name for node in nodes}):
        named = ", ".join(node.agent_name for node in nodes[:20])
        message = f"configs names {unknown[0]!r}, which is no agent of this job; there are {named}"
        raise Refused(RefusalCode.CONFIG_INVALID, message, {"agent": unknown[0]})
    return [node.model_copy(update={"config": {**node.config, **configs.get(node.agent_name, {})}}) for node in nodes]
