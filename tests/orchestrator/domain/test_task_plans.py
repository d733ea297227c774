"""Plans made from the structure of prompts: which steps there are, and who sees whose results."""

from orchestrator.domain.tasks.analysis import analyse
from orchestrator.domain.tasks.plans import ANSWER, MOST_STEPS, task_plan


def steps_of(prompt: str) -> list[tuple[str, tuple[int, ...]]]:
    """Instructions and needs, without the last step."""
    plan = task_plan(analyse(prompt).structure, max_attempts=3, timeout_seconds=60)
    *steps, answer = plan.steps
    assert answer.name == ANSWER
    assert sorted(answer.ancestors) == list(range(len(steps))), "the answer is written from all results"
    return [(step.config["instruction"], step.needs) for step in steps]


def test_a_numbered_list_is_worked_through_in_order() -> None:
    assert steps_of("1. Find a name.\n2. Design a logo.\n3. Write a slogan.") == [
        ("Find a name.", ()),
        ("Design a logo.", (0,)),
        ("Write a slogan.", (1,)),
    ]


def test_the_points_of_a_list_without_numbers_stand_alone_unless_they_point_back() -> None:
    assert steps_of("Do these:\n- Write a poem\n- Draw a map\n- Describe it\n") == [
        ("Write a poem", ()),
        ("Draw a map", ()),
        ("Describe it", (1,)),
    ]


def test_a_step_that_names_another_needs_that_one() -> None:
    assert steps_of("1. Find a name.\n2. List three risks.\n3. Write a slogan for the name of step 1.")[2][1] == (0,)


def test_running_text_is_split_at_its_instructions_which_build_on_each_other() -> None:
    assert steps_of("Research heat pumps, compare them with boilers, and finally write a report.") == [
        ("Research heat pumps", ()),
        ("compare them with boilers", (0,)),
        ("finally write a report.", (1,)),
    ]


def test_the_parts_of_one_large_work_are_written_side_by_side() -> None:
    assert steps_of("Write a comprehensive report on cars covering batteries, charging and cost.") == [
        ("Work out the part about: batteries", ()),
        ("Work out the part about: charging", ()),
        ("Work out the part about: cost", ()),
    ]


def test_what_has_no_parts_is_outlined_drafted_and_reviewed() -> None:
    assert [needs for _, needs in steps_of("Write an extensive book from scratch about the sea.")] == [(), (0,), (1,)]


def test_neighbours_of_a_very_long_plan_are_done_together() -> None:
    steps = steps_of("\n".join(f"{number}. Write chapter {number}." for number in range(1, 31)))
    assert len(steps) == MOST_STEPS
    assert "\n".join(instruction for instruction, _ in steps).count("Write chapter") == 30
    assert [needs for _, needs in steps] == [(), *((position,) for position in range(MOST_STEPS - 1))]
