"""A plot in the terminal: as wide and high as asked, its ends named, a dot for each point."""

from llm_platform.cli.plot import plot


def test_a_falling_line_falls() -> None:
    lines = plot([(float(x), 10.0 - x) for x in range(11)], width=24, height=4)
    assert len(lines) == 4
    assert all(len(line) == 24 for line in lines)
    assert (lines[0].split()[0], lines[-1].split()[0]) == ("10", "0")
    first = [next(place for place, sign in enumerate(line) if sign > "⠀" and place > 2) for line in lines]
    assert first == sorted(first)


def test_what_does_not_change_is_drawn_in_the_middle() -> None:
    lines = plot([(1.0, 2.0), (2.0, 2.0)], width=12, height=3)
    assert [any(sign > "⠀" for sign in line[2:]) for line in lines] == [False, True, False]


def test_of_nothing_nothing_is_drawn() -> None:
    assert plot([], 10, 3) == []
