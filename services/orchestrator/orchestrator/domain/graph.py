"""The directed acyclic graph that a run follows: which steps there are, and what each of them needs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.base import RefusalCode, Refused


@dataclass(frozen=True)
class Graph:
    """`names` in the order of the definition; `needs[i]` are the positions of the steps right before step `i`."""

    names: tuple[str, ...]
    needs: tuple[tuple[int, ...], ...]

    def ancestors(self, position: int) -> tuple[int, ...]:
        """Every step that has ended before step `position` starts, nearest first."""
        found: dict[int, None] = {}
        level = self.needs[position]
        while level:
            found.update(dict.fromkeys(level))
            level = tuple(sorted({need for step in level for need in self.needs[step]} - found.keys()))
        return tuple(found)


def graph(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> Graph:
    """The graph of the named steps, where an edge `(a, b)` says that `b` starts when `a` has finished.

    A repeated edge counts once. Raises `Refused(CONFIG_INVALID)` naming what is wrong.
    """
    positions: dict[str, int] = {}
    for position, name in enumerate(names):
        if name in positions:
            raise _invalid(f"Two agents are named {name!r}", agent=name)
        positions[name] = position
    needs: list[set[int]] = [set() for _ in names]
    for before, after in edges:
        for end in (before, after):
            if end not in positions:
                raise _invalid(f"The edge {before} → {after} names {end!r}, which is no agent of this job", agent=end)
        if before == after:
            raise _invalid(f"The agent {before!r} has an edge to itself", agent=before)
        needs[positions[after]].add(positions[before])
    built = Graph(tuple(names), tuple(tuple(sorted(before)) for before in needs))
    if cycle := _cycle(built):
        path = [built.names[position] for position in cycle]
        raise _invalid(f"The edges form a cycle: {' → '.join(path)}", cycle=path)
    return built


def _cycle(graph: Graph) -> list[int]:
    """One cycle, its first step repeated at the end; empty when there is none."""
    waiting = {position: set(needs) for position, needs in enumerate(graph.needs)}
    while free := [position for position, needs in waiting.items() if not needs]:
        for position in free:
            del waiting[position]
        for needs in waiting.values():
            needs.difference_update(free)
    if not waiting:
        return []
    # What is left only waits for what is left, so going backwards from anywhere must come round.
    path = [min(waiting)]
    while (before := min(waiting[path[-1]])) not in path:
        path.append(before)
    cycle = path[path.index(before) :]
    return [before, *reversed(cycle)]


def _invalid(message: str, **metadata: object) -> Refused:
    return Refused(RefusalCode.CONFIG_INVALID, message, metadata)
