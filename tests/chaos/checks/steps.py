"""Steps: each has one result, made of what engines and workers did for that very step."""

from collections import defaultdict
from collections.abc import Mapping

from tests.chaos.checks.findings import Findings, unless
from tests.chaos.engine import numbers_in
from tests.chaos.history import History


def each_step_has_one_result(history: History) -> Findings:
    """The response that callers and watchers were told, whenever, is the one that is recorded."""
    told: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for reading in history.readings:
        told[reading.run_id, reading.payload_id].add(reading.content)
    for event in history.told:
        if event.type == "payload_completed" and event.payload_id is not None and event.content is not None:
            told[event.run_id, event.payload_id].add(event.content)
    for row in history.runs:
        for step in row.steps:
            where = f"{step.name} of run {row.run_id}"
            contents = told.get((row.run_id, step.payload_id), set())
            yield unless(
                (step.status == "completed") == (step.content is not None),
                f"{where} is {step.status} with {step.content!r}",
            )
            yield unless(contents <= {step.content}, f"{where} has {step.content!r} and was told as {sorted(contents)}")
            yield unless(
                row.status != "completed" or step.status == "completed",
                f"{where} is {step.status} though the run has completed",
            )


def results_never_change(history: History) -> Findings:
    """A step that was seen to have ended is never seen otherwise, nor with another output."""
    first: dict[int, tuple[str, str]] = {}
    for sight in history.step_sights:
        known = first.setdefault(sight.step_id, (sight.status, sight.digest))
        yield unless(known == (sight.status, sight.digest), f"step {sight.step_id} was {known[0]} and changed")


def results_are_what_engines_served(history: History) -> Findings:
    """Each result is made of completions that an engine served for that very payload of that very run or task."""
    tags = {serving.number: serving.tag for serving in history.servings}
    for row in history.runs:
        for step in row.steps:
            if step.content and not step.kept:
                yield _made_of(tags, step.content, row.tag, f"{step.name} of run {row.run_id}")
    for job in history.jobs:
        for part in job.steps:
            if part.content is not None:
                yield _made_of(tags, part.content, job.key, f"step {part.step_id} of task {job.job_id}")


def _made_of(tags: Mapping[int, str], content: str, tag: str, what: str) -> str | None:
    found = [tags.get(number, "nothing") for number in numbers_in(content)]
    right = bool(found) and all(one.startswith(f"{tag}/") for one in found)
    return unless(right, f"{what} holds completions for {found}")


def later_steps_saw_recorded_results(history: History) -> Findings:
    """The prompt of a step holds the recorded responses of those it needs, and no others that came and were dropped."""
    for row in history.runs:
        steps = {step.position: step for step in row.steps}
        for step in row.steps:
            if not step.prompt or step.kept:
                # What is skipped asks nobody.
                continue
            for position in step.needs:
                content = steps[position].content
                yield unless(
                    content is not None and content in step.prompt,
                    f"{step.name} of run {row.run_id} was asked without what {steps[position].name} answered",
                )


def job_results_count_by_fence(history: History) -> Findings:
    """The output of a job's step is the one report that was said to count; a report that came too late does not."""
    counted: defaultdict[int, set[int]] = defaultdict(set)
    made: defaultdict[int, set[int]] = defaultdict(set)
    for finish in history.finishes:
        made[finish.step_id].add(finish.rows)
        if finish.recorded:
            counted[finish.step_id].add(finish.rows)
    for job in history.jobs:
        for step in job.steps:
            if step.rows is None:
                continue
            told = counted[step.step_id]
            yield unless(told <= {step.rows}, f"step {step.step_id} of {job.job_id} has {step.rows} and {told} counted")
