"""The state machine of runs and their steps: what each thing that happens changes, all at once.

```
waiting ─ all needs completed → ready ─ claim → running ─┬─ succeed → completed
                                  ↑                      ├─ fail: attempts left → ready
                                  └──────────────────────┤        none left     → failed
                                                         ├─ release → ready, the attempt not counted
                                                         ├─ interrupt → likewise; too often → failed
                                                         └─ split → waiting for its parts, then ready to join them
```

The parts of a split step are steps of their own, of which some may be claimed at once and each that ends lets another
follow. One that fails for good ends neither the run nor the others: whoever joins them decides what that means.

While a run is paused, `paused` stands for `ready`: what could be claimed is not, until the run is resumed. What runs,
runs on. A step for which a person's approval is asked is `paused`, too, until that one gives it, or rejects the step,
which fails it.

A run is `active` until its last step completes, one that is no part fails for good, or it is cancelled. That never
changes again: steps that had not started are then `skipped` (failed run) or `cancelled`, and running ones are told to
stop.

Claiming and beating are compare-and-sets of one row and are the store's; everything that touches more is decided here.
The machine looks only at the steps that have not ended, so a decision costs what is left to do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal

from contracts.orchestrator import StepStatus
from orchestrator.domain.failures import Failure

RunStatus = Literal["active", "completed", "failed", "cancelled"]
Ended = Literal["completed", "failed", "cancelled"]

MOST_PARTS = 1000
"""Into so many a step may be split. Their positions begin at as many times its own, plus one: a run that has split
steps is defined by fewer steps than that."""


@dataclass(frozen=True)
class Step:
    """A step as the machine sees it.

    `needs` are the positions of the steps right before it, and `waits_for` counts those that have not completed.
    `attempt` and `fence` are of the last claim; `interruptions` is how many were cut off from outside, and count as no
    attempt. For `delay` seconds a step that is ready may not be claimed. None that needs a person's `approval` is done
    before it has it: whoever claims it finds out whether it is to be done at all, and has it `asked` for. `part_of` is
    the position of the step that it is a part of, `parts` into how many it has been split itself: it then `waits_for`
    those that have not ended. `number` is document C's id of a workflow's payload.
    """

    id: int
    position: int
    name: str
    kind: str
    status: StepStatus
    attempt: int
    max_attempts: int
    fence: int
    needs: frozenset[int]
    waits_for: int
    delay: float = 0.0
    approval: bool = False
    asked: bool = False
    part_of: int | None = None
    parts: int = 0
    number: int | None = None
    interruptions: int = 0


@dataclass(frozen=True)
class Part:
    """What a step is split into. It is given the outputs of the steps at `ancestors`, nearest first. One with an
    `output` has been done by an earlier run."""

    name: str
    config: dict[str, Any]
    output: dict[str, Any] | None = None
    ancestors: tuple[int, ...] = ()


@dataclass(frozen=True)
class NewStep:
    """A part as it enters the run."""

    position: int
    part: Part
    status: StepStatus
    waits_for: int


@dataclass(frozen=True)
class Run:
    """A run with those of its `steps` that have not ended, by position. Of the parts that wait for room it need have
    only the next one of each step: the others just end with the run. `number` is document C's id of a workflow's,
    `trigger` what started it."""

    id: int
    run_id: str
    kind: str
    owner: str
    status: RunStatus
    steps: Mapping[int, Step]
    paused: bool = False
    number: int | None = None
    trigger: str = "api"

    def held(self, step_id: int, fence: int) -> Step | None:
        """The step, if whoever shows `fence` still holds it."""
        for step in self.steps.values():
            if step.id == step_id and step.status == "running" and step.fence == fence:
                return step
        return None


@dataclass(frozen=True)
class Transition:
    """What one event changes.

    `changed` are steps in their new state; `step` is the one it happened to, None where it happened to the run. `made`
    are the parts that it was split into.
    `output` is its result, `failure` why its attempt failed. `ended` is the state that the run enters for good;
    `paused` says that it pauses, or no longer does.
    """

    run: Run
    changed: tuple[Step, ...]
    step: Step | None = None
    output: dict[str, Any] | None = None
    failure: Failure | None = None
    ended: Ended | None = None
    paused: bool | None = None
    made: tuple[NewStep, ...] = ()

    @property
    def made_ready(self) -> tuple[Step, ...]:
        return tuple(step for step in self.changed if step.status == "ready")


def succeed(run: Run, step: Step, output: dict[str, Any]) -> Transition:
    """The work of a held step is done: what waited for it alone is ready, and the last step completes the run.

    In a run that has ended the result is kept, and changes nothing else.
    """
    done = replace(step, status="completed")
    if run.status != "active":
        return Transition(run, (done,), done, output)
    freed = tuple(_with_one_need_less(run, other) for other in run.steps.values() if step.position in other.needs)
    changed = (done, *freed, *_after_part(run, step))
    return Transition(run, changed, done, output, ended="completed" if len(run.steps) == 1 else None)


def fail(run: Run, step: Step, failure: Failure, *, retryable: bool, delay: float) -> Transition:
    """The attempt at a held step failed: it is tried again after `delay` seconds, or the run fails with it.

    In a run that has ended, stopping is what was asked for, however it came about.
    """
    if run.status != "active":
        return _alone(run, replace(step, status="cancelled"))
    if retryable and step.attempt < step.max_attempts:
        again = replace(step, status=_claimable(run, step), delay=delay)
        return Transition(run, (again,), again, failure=failure)
    if step.part_of is not None:
        failed = replace(step, status="failed")
        return Transition(run, (failed, *_after_part(run, step)), failed, failure=failure)
    return _failed(run, step, failure)


def split(run: Run, step: Step, parts: Sequence[Part], at_once: int) -> Transition:
    """A held step turns out to be many, of which `at_once` may be claimed at the same time. When all have ended it is
    ready again, to join them. Its attempts are counted anew."""
    if run.status != "active":
        return _alone(run, replace(step, status="cancelled"))
    first, to_do = (step.position + 1) * MOST_PARTS, 0
    made = []
    for position, part in enumerate(parts, start=first):
        status: StepStatus = "completed"
        if part.output is None:
            status = "waiting" if to_do >= at_once else _claimable(run, step)
            to_do += 1
        made.append(NewStep(position, part, status, int(status == "waiting")))
    whole = replace(step, status="waiting" if to_do else _claimable(run, step), waits_for=to_do, parts=len(parts))
    whole = replace(whole, attempt=0, interruptions=0)
    return Transition(run, (whole,), whole, made=tuple(made))


def release(run: Run, step: Step, delay: float = 0.0, why: Failure | None = None) -> Transition:
    """The worker gives a held step back unfinished: it is ready after `delay` seconds, as if this attempt had not
    been."""
    if run.status != "active":
        return _alone(run, replace(step, status="cancelled"))
    again = replace(step, status=_claimable(run, step), attempt=step.attempt - 1, delay=delay)
    return Transition(run, (again,), again, failure=why)


def interrupt(run: Run, step: Step, failure: Failure, *, most: int, delay: float) -> Transition:
    """Whoever worked on a held step was lost, or what they needed of this platform: it is ready after `delay` seconds,
    as if this attempt had not been. After `most` times it fails for good, since it may be the reason itself."""
    if run.status != "active" or step.interruptions >= most:
        return fail(run, step, failure, retryable=False, delay=0)
    return release(run, replace(step, interruptions=step.interruptions + 1), delay, failure)


def cancel(run: Run) -> Transition:
    """The active run ends as cancelled at once; running steps follow when their workers hear of it."""
    return Transition(run, tuple(_unstarted(run, "cancelled")), ended="cancelled")


def pause(run: Run) -> Transition:
    """No more steps of the active run are claimed; those that run may finish, and the last of them may end the run."""
    held_back = (replace(step, status="paused") for step in run.steps.values() if step.status == "ready")
    return Transition(run, tuple(held_back), paused=True)


def resume(run: Run) -> Transition:
    """The steps of a paused run may be claimed again, at once, but for those that wait for a person."""
    going_on = replace(run, paused=False)
    steps = (step for step in run.steps.values() if step.status == "paused" and not step.asked)
    return Transition(run, tuple(replace(step, status=_claimable(going_on, step)) for step in steps), paused=False)


def ask(run: Run, step: Step) -> Transition:
    """A held step turns out to need a person's approval: it waits for that, as if this attempt had not been."""
    if run.status != "active":
        return _alone(run, replace(step, status="cancelled"))
    if not step.approval:
        return release(run, step)
    return _alone(run, replace(step, status="paused", asked=True, attempt=step.attempt - 1))


def approve(run: Run, step: Step) -> Transition:
    """A person lets a step of the active run go ahead, before or when it is asked for."""
    approved = replace(step, approval=False, asked=False)
    return _alone(run, replace(approved, status=_claimable(run, approved)) if step.asked else approved)


def reject(run: Run, step: Step, failure: Failure) -> Transition:
    """A person does not let a step of the active run go ahead: the run fails with it."""
    return _failed(run, step, failure)


def _alone(run: Run, step: Step) -> Transition:
    return Transition(run, (step,), step)


def _failed(run: Run, step: Step, failure: Failure) -> Transition:
    failed = replace(step, status="failed")
    others = (other for other in _unstarted(run, "skipped") if other.id != step.id)
    return Transition(run, (failed, *others), failed, failure=failure, ended="failed")


def _claimable(run: Run, step: Step) -> Literal["ready", "paused"]:
    return "paused" if run.paused or step.asked else "ready"


def _with_one_need_less(run: Run, step: Step) -> Step:
    left = step.waits_for - 1
    return replace(step, waits_for=left, status="waiting" if left else _claimable(run, step))


def _after_part(run: Run, step: Step) -> Iterable[Step]:
    """A part has ended: its whole waits for one less, and the next part may be claimed in its place."""
    if step.part_of is None:
        return
    yield _with_one_need_less(run, run.steps[step.part_of])
    waiting = (other for other in run.steps.values() if other.part_of == step.part_of and other.status == "waiting")
    if (following := min(waiting, key=attrgetter("position"), default=None)) is not None:
        yield _with_one_need_less(run, following)


def _unstarted(run: Run, status: Literal["skipped", "cancelled"]) -> Iterable[Step]:
    return (replace(step, status=status) for step in run.steps.values() if step.status != "running")
