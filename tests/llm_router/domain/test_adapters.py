"""Which adapters of an engine may be unloaded, and in which order."""

from llm_router.domain.adapters import AdapterUse


def test_idle_ones_come_least_recently_used_first_and_unknown_ones_before_all() -> None:
    use = AdapterUse()
    for name in ("a", "b", "a"):
        use.begin(name)
        use.end(name)
    assert use.idle(["a", "b", "unknown"]) == ["unknown", "b", "a"]


def test_one_with_a_request_is_not_idle_until_its_last_request_ends() -> None:
    use = AdapterUse()
    use.begin("a")
    use.begin("a")
    use.end("a")
    assert use.idle(["a"]) == []
    use.end("a")
    assert use.idle(["a"]) == ["a"]


def test_one_that_was_forgotten_counts_as_unknown() -> None:
    use = AdapterUse()
    use.touch("a")
    use.touch("b")
    use.forget("b")
    assert use.idle(["a", "b"]) == ["b", "a"]
