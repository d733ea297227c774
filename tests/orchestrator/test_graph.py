"""The graph of a run: what needs what, and what cannot be a graph."""

from itertools import pairwise

import pytest

from contracts.base import RefusalCode, Refused
from orchestrator.domain.graph import graph


def refusal(names: list[str], edges: list[tuple[str, str]]) -> Refused:
    with pytest.raises(Refused) as refused:
        graph(names, edges)
    assert refused.value.code is RefusalCode.CONFIG_INVALID
    return refused.value


def test_needs_are_the_steps_right_before() -> None:
    assert graph(["a", "b", "c"], [("a", "c"), ("b", "c")]).needs == ((), (), (0, 1))


def test_a_repeated_edge_counts_once() -> None:
    assert graph(["a", "b"], [("a", "b"), ("a", "b")]).needs == ((), (0,))


def test_ancestors_come_nearest_first_and_once() -> None:
    shape = graph(["a", "b", "c", "d"], [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")])
    assert shape.ancestors(3) == (0, 1, 2)
    assert graph(["x", "y", "z"], [("z", "y"), ("y", "x")]).ancestors(0) == (1, 2)


def test_a_step_may_stand_apart() -> None:
    assert graph(["a", "b"], []).needs == ((), ())


def test_a_name_is_taken_once() -> None:
    assert "Two agents are named 'a'" in refusal(["a", "a"], []).message


@pytest.mark.parametrize("edge", [("a", "nobody"), ("nobody", "a")])
def test_an_edge_to_nobody_is_refused_by_name(edge: tuple[str, str]) -> None:
    assert "'nobody', which is no agent" in refusal(["a"], [edge]).message


def test_an_edge_to_itself_is_refused() -> None:
    assert "'a' has an edge to itself" in refusal(["a"], [("a", "a")]).message


def test_a_cycle_is_refused_and_shown_in_the_direction_of_its_edges() -> None:
    edges = [("in", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "out")]
    refused = refusal(["in", "a", "b", "c", "out"], edges)
    shown = refused.metadata["cycle"]
    assert refused.message.endswith(" → ".join(shown))
    assert shown[0] == shown[-1]
    assert sorted(shown[:-1]) == ["a", "b", "c"]
    assert all(step in edges for step in pairwise(shown))
