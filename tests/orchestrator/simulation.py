"""The engine without I/O: a model of the store, moved by the real state machine in random orders.

One history is one run: a seed chooses a graph of at most four steps, one of which may be split into parts, and then
what happens to it, until all is over.
The store keeps books of its own beside what the machine decides, and any promise that breaks raises `Broken` with the
seed and all that had happened. To replay it: `Simulation(seed).play()`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from random import Random
from typing import Literal

from contracts.base import RefusalCode
from contracts.orchestrator import StepCancelled, StepFailed, StepReleased, StepStatus
from orchestrator.domain import machine, outcomes
from orchestrator.domain.failures import STOPPED_UNASKED
from orchestrator.domain.machine import MOST_PARTS, Part, Run, RunStatus, Step, Transition
from orchestrator.domain.policy import Policy

Report = Literal["done", "failed", "failed for good", "stopped", "given back", "cut off"]
Verdict = Literal["held", "cancel", "lost"]
Claimed = tuple[int, int]
"""A step's id and the fence of its claim."""

MOST_STEPS = 4
MOST_SPLIT = 3
MOST_EVENTS = 40
"""After so many nothing goes wrong any more, and the run must come to its end."""

POLICY = Policy(
    lease=10,
    interruptions=2,
    cancel_grace=10,
    retry_base=1,
    retry_cap=60,
    hint_pause=5,
    task_attempts=3,
    task_step_timeout=60,
    payload_attempts=3,
    payload_timeout=60,
    action_timeout=60,
    keep_failed=600,
)
_OPEN: frozenset[StepStatus] = frozenset({"waiting", "ready", "paused", "running"})
_LEFT_OVER: dict[RunStatus, StepStatus] = {"failed": "skipped", "cancelled": "cancelled"}
_BAD_ENDS: frozenset[StepStatus] = frozenset({"failed", "cancelled", "skipped"})
_RESULTS = {
    "failed": StepFailed(code=RefusalCode.UNAVAILABLE, message="later", retryable=True),
    "failed for good": StepFailed(code=RefusalCode.INVALID, message="never", retryable=False),
    "stopped": StepCancelled(),
    "given back": StepReleased(),
}
_EVENTS = (
    *("claim",) * 10,
    *("report",) * 12,
    *("approve", "approve", "approve", "reject"),
    *("expire", "expire", "overrun", "beat", "pause", "resume", "resume", "cancel"),
)
_REPORTS: tuple[Report, ...] = (
    *("done",) * 8,
    *("failed", "failed", "failed for good", "stopped", "given back", "cut off"),
)


class Broken(AssertionError):
    """The engine did what it promises not to do."""


def run_of(needs: tuple[tuple[int, ...], ...], max_attempts: int, approval: int | None) -> Run:
    """A run that has just been entered, whose step `i` needs `needs[i]`. That at `approval` waits for a person."""
    steps = {
        position: Step(
            id=100 + position,
            position=position,
            name=f"s{position}",
            kind="DatasetAgent",
            status="waiting" if before else "ready",
            attempt=0,
            max_attempts=max_attempts,
            fence=0,
            needs=frozenset(before),
            waits_for=len(before),
            approval=position == approval,
        )
        for position, before in enumerate(needs)
    }
    return Run(1, "r", "job", "", "active", steps)


def _graphs(size: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every way in which each of `size` steps can need some of those before it."""
    pairs = [(step, before) for step in range(size) for before in range(step)]
    for chosen in product((False, True), repeat=len(pairs)):
        edges = [pair for pair, is_edge in zip(pairs, chosen, strict=True) if is_edge]
        yield tuple(tuple(before for after, before in edges if after == step) for step in range(size))


@dataclass(frozen=True)
class Splitting:
    """The step at `position` turns out to be so many `parts`, `at_once` of which may be claimed at the same time. An
    earlier run has done those of `kept`."""

    position: int
    parts: int
    at_once: int
    kept: frozenset[int]

    def split(self) -> list[Part]:
        return [Part(f"p{i}", {}, {"fence": 0} if i in self.kept else None) for i in range(self.parts)]


_RUNS = tuple(
    run_of(needs, max_attempts, approval)
    for size in range(1, MOST_STEPS + 1)
    for needs in _graphs(size)
    for max_attempts in (1, 2, 3)
    for approval in (None, *range(size))
)
_SPLITTINGS = (
    *(None,) * 8,
    *(
        Splitting(position, parts, at_once, frozenset(kept))
        for position in range(MOST_STEPS)
        for parts in range(1, MOST_SPLIT + 1)
        for at_once in range(1, parts + 1)
        for kept in ((), (0,))
    ),
)


class Store:
    """One run as the database would hold it, with the store's compare-and-sets, and the books that it is held to."""

    def __init__(self, run: Run, splitting: Splitting | None = None) -> None:
        self.run = run
        self.splitting = splitting
        self.steps = dict(run.steps)
        self.holders: dict[int, int] = {}
        """The fence of the claim that holds each running step."""
        self.attempts: dict[int, int] = dict.fromkeys((step.id for step in run.steps.values()), 0)
        self.interruptions: dict[int, int] = dict.fromkeys(self.attempts, 0)
        self.results: dict[int, int] = {}
        """The fence of the claim whose output each completed step has."""

    # What the store does

    def claimable(self) -> list[Step]:
        return [step for step in self.run.steps.values() if step.status == "ready"]

    def held(self, step_id: int, fence: int) -> Step | None:
        return self.run.held(step_id, fence)

    def claim(self, step: Step) -> Claimed:
        claimed = replace(step, status="running", attempt=step.attempt + 1, fence=step.fence + 1)
        if step.id in self.holders or self.run.paused or self.run.status != "active":
            raise Broken(f"{step.name} is claimed, and it or its run is held")
        self.holders[step.id] = claimed.fence
        self.attempts[step.id] += 1
        self._keep((claimed,), self.run.status, paused=False)
        return claimed.id, claimed.fence

    def beat(self, claimed: Claimed) -> Verdict:
        if self.held(*claimed) is None:
            return "lost"
        return "held" if self.run.status == "active" else "cancel"

    def report(self, claimed: Claimed, report: Report, chance: float) -> bool:
        """Whether the report was recorded now: not by one who had lost the step, nor the second time."""
        step = self.held(*claimed)
        if step is None:
            return False
        if self.holders.pop(step.id, None) != claimed[1]:
            raise Broken(f"a report under fence {claimed[1]} of {step} was taken from one who does not hold it")
        if report == "done" and self.misses_a_part(step):
            report = "failed for good"
        if report == "done" and step.approval and not self.may_skip_approval:
            transition, report = machine.ask(self.run, step), "given back"
        elif report == "cut off":
            return self._cut_off(step, outcomes.break_off(self.run, step, "half-way", POLICY, chance))
        elif report != "done":
            transition = outcomes.finish(self.run, step, _RESULTS[report], POLICY, chance)
        elif self.splitting is not None and step.position == self.splitting.position and not step.parts:
            transition = machine.split(self.run, step, self.splitting.split(), self.splitting.at_once)
            if self.run.status == "active":
                self.attempts[step.id] = self.interruptions[step.id] = 0
        else:
            transition = machine.succeed(self.run, step, {"fence": claimed[1]})
        if report == "given back" and self.run.status == "active":
            self.attempts[step.id] -= 1
        may_fail = report == "failed for good" or self.attempts[step.id] == step.max_attempts
        may_fail = may_fail and step.part_of is None
        self.keep(transition, may_end={"completed": report == "done", "failed": report != "done" and may_fail})
        return True

    may_skip_approval = False
    """Whether steps are done that nobody has approved: a worker asks for it instead."""

    def misses_a_part(self, whole: Step) -> bool:
        """What a worker looks at before it joins the parts of a step."""
        return any(part.status == "failed" for part in self.parts_of(whole))

    def expire(self, step: Step, chance: float) -> None:
        del self.holders[step.id]
        self._cut_off(step, outcomes.expire(self.run, step, POLICY, chance))

    def _cut_off(self, step: Step, transition: Transition) -> bool:
        last = self.interruptions[step.id] == POLICY.interruptions
        if self.run.status == "active" and not last:
            self.attempts[step.id] -= 1
            self.interruptions[step.id] += 1
        self.keep(transition, may_end={"failed": last and step.part_of is None})
        return True

    def overrun(self, step: Step) -> None:
        del self.holders[step.id]
        self.keep(outcomes.overrun(self.run, step, 1.0), may_end={"failed": step.part_of is None})

    def cancel(self) -> None:
        self.keep(machine.cancel(self.run), may_end={"cancelled": True})

    def pause(self) -> None:
        self.keep(machine.pause(self.run), may_end={})

    def resume(self) -> None:
        self.keep(machine.resume(self.run), may_end={})

    def approve(self, step: Step) -> None:
        self.keep(machine.approve(self.run, step), may_end={})

    def reject(self, step: Step) -> None:
        self.keep(machine.reject(self.run, step, STOPPED_UNASKED), may_end={"failed": True})

    # What it holds the machine to

    def keep(self, transition: Transition, *, may_end: dict[str, bool]) -> None:
        run, ended = self.run, transition.ended
        if ended is not None and not (run.status == "active" and may_end.get(ended)):
            raise Broken(f"a run that is {run.status} ends as {ended}")
        for step in transition.changed:
            if step.status == "completed":
                self._keep_result(step, transition)
        paused = run.paused if transition.paused is None else transition.paused
        self._make(transition)
        self._keep(transition.changed, ended or run.status, paused=paused)

    def parts_of(self, whole: Step) -> list[Step]:
        return [step for step in self.steps.values() if step.part_of == whole.position]

    def _make(self, transition: Transition) -> None:
        """The parts that a step is split into."""
        for new in transition.made:
            if new.position in self.steps or transition.step is None:
                raise Broken(f"a second step enters at {new.position}")
            whole = transition.step
            part = Step(
                id=100 + new.position,
                position=new.position,
                name=f"{whole.name}{new.part.name}",
                kind=whole.kind,
                status=new.status,
                attempt=0,
                max_attempts=whole.max_attempts,
                fence=0,
                needs=frozenset(),
                waits_for=new.waits_for,
                part_of=whole.position,
            )
            self.steps[new.position] = part
            self.attempts[part.id] = self.interruptions[part.id] = 0
            if new.part.output is not None:
                self.results[part.id] = new.part.output["fence"]

    def _keep_result(self, step: Step, transition: Transition) -> None:
        if step.id in self.results or transition.output is None:
            raise Broken(f"{step.name} completes without a result or with a second one")
        self.results[step.id] = transition.output["fence"]

    def _keep(self, changed: tuple[Step, ...], status: RunStatus, *, paused: bool) -> None:
        for step in changed:
            before = self.steps[step.position]
            if before.status not in _OPEN:
                raise Broken(f"{before.name} has {before.status} and becomes {step.status}")
            self.steps[step.position] = step
        run = self.run
        if status in _LEFT_OVER:
            self._end_left_over(_LEFT_OVER[status])
        still_open = {position: step for position, step in self.steps.items() if self._is_looked_at(step)}
        self.run = Run(run.id, run.run_id, run.kind, run.owner, status, still_open, paused)
        self._check()

    def _is_looked_at(self, step: Step) -> bool:
        """Whether the machine is shown the step: of parts that wait for room, only the next one."""
        if step.status != "waiting" or step.part_of is None:
            return step.status in _OPEN
        line = (part.position for part in self.steps.values() if part.part_of == step.part_of)
        return step.position == min(position for position in line if self.steps[position].status == "waiting")

    def _end_left_over(self, status: StepStatus) -> None:
        for position, step in self.steps.items():
            if step.part_of is not None and step.status == "waiting":
                self.steps[position] = replace(step, status=status)

    def _check(self) -> None:
        run, steps = self.run, self.steps
        statuses = {step.status for step in steps.values() if step.part_of is None}
        active = run.status == "active"
        if active and statuses & _BAD_ENDS:
            raise Broken("a run goes on whose steps ended badly")
        if active and all(step.status == "waiting" for step in run.steps.values()):
            raise Broken("nothing can move an active run")
        if not active and any(step.status in {"waiting", "ready", "paused"} for step in run.steps.values()):
            raise Broken("an ended run has steps to come")
        if (run.status == "completed") != (statuses == {"completed"}) and run.status not in {"cancelled", "failed"}:
            raise Broken(f"a run is {run.status} whose steps are {statuses}")
        if (run.status == "failed") < ("failed" in statuses):
            raise Broken(f"a step has failed, and the run is {run.status}")
        for step in steps.values():
            self._check_step(step)

    def _check_step(self, step: Step) -> None:
        missing = 0
        for need in step.needs:
            missing += self.steps[need].status != "completed"
        status = step.status
        if step.parts:
            missing += self._check_parts(step)
        if step.part_of is not None and status == "waiting":
            missing = 1
        if missing and status != "waiting" and status not in _BAD_ENDS:
            raise Broken(f"{step.name} is {status} before what it needs")
        if status == "completed" and step.approval:
            raise Broken(f"{step.name} was done, and nobody had approved it")
        held_back = self.run.paused or step.asked
        if status == ("ready" if held_back else "paused"):
            raise Broken(f"{step.name} is {status}, and {'may not be' if held_back else 'nothing holds it back'}")
        if status == "waiting" and step.waits_for != missing:
            raise Broken(f"{step.name} has lost count of what it waits for")
        if not step.attempt == self.attempts[step.id] <= step.max_attempts:
            raise Broken(f"{step.name} has been tried {self.attempts[step.id]} times and counts {step.attempt}")
        if step.interruptions != self.interruptions[step.id]:
            raise Broken(f"{step.name} has lost count of how often it was cut off")
        if (status == "running") != (step.id in self.holders):
            raise Broken(f"{step.name} is {status}, and its holder thinks otherwise")

    def _check_parts(self, whole: Step) -> int:
        """How many of its parts have not ended, of which as many as may be are to be claimed."""
        left = [part.status for part in self.parts_of(whole) if part.status in _OPEN]
        at_once = self.splitting.at_once if self.splitting is not None else 0
        open_now = len(left) - left.count("waiting")
        if self.run.status == "active" and open_now != min(at_once, len(left)):
            raise Broken(f"of {len(left)} parts of {whole.name} {open_now} may be claimed at once")
        if whole.status == "completed" and any(part.status != "completed" for part in self.parts_of(whole)):
            raise Broken(f"{whole.name} has completed, and not all of its parts")
        return len(left)


class Simulation:
    """The history of one run that `seed` stands for. `happened` is what has, in order."""

    def __init__(self, seed: int, store: type[Store] = Store) -> None:
        self.seed = seed
        self.happened: list[str] = []
        self._random = Random(seed)
        self._shape = self._below(len(_RUNS))
        self._splitting = self._below(len(_SPLITTINGS))
        self._store = store(_RUNS[self._shape], _SPLITTINGS[self._splitting])
        # Claims stay: a worker that has lost its step reports all the same, and some report twice.
        self._claims: list[Claimed] = []

    def play(self) -> tuple[int, int, str]:
        """Plays it to its end; which run it was and what happened to it, which tells it from all other histories."""
        try:
            for _ in range(MOST_EVENTS):
                if not self._store.run.steps:
                    break
                self._happen(_EVENTS[self._below(len(_EVENTS))])
            self._come_to_an_end()
            self._report_again()
        except Broken as broken:
            raise Broken(f"seed {self.seed}: {broken}; after {', '.join(self.happened)}") from broken
        return self._shape, self._splitting, " ".join(self.happened)

    def _happen(self, event: str) -> None:
        store, run, active = self._store, self._store.run, self._store.run.status == "active"
        match event:
            case "claim" if ready := store.claimable():
                self._claim(ready[self._below(len(ready))])
            case "report" if self._claims:
                report = _REPORTS[self._below(len(_REPORTS))]
                self._report(self._claims[self._below(len(self._claims))], report)
            case "beat" if self._claims:
                self._beat(self._claims[self._below(len(self._claims))])
            case "expire" | "overrun" if running := [s for s in run.steps.values() if s.status == "running"]:
                self._take_away(event, running[self._below(len(running))])
            case "approve" | "reject" if active and (
                waiting := [s for s in run.steps.values() if s.approval and s.status != "running"]
            ):
                self._answer(event, waiting[0])
            case "cancel" | "pause" | "resume" if active and (event == "cancel" or run.paused == (event == "resume")):
                self._tell(event)

    def _claim(self, step: Step) -> None:
        self.happened.append(f"claim {step.name}")
        self._claims.append(self._store.claim(step))

    def _tell(self, order: str) -> None:
        self.happened.append(order)
        match order:
            case "cancel":
                self._store.cancel()
            case "pause":
                self._store.pause()
            case _:
                self._store.resume()

    def _answer(self, answer: str, step: Step) -> None:
        self.happened.append(f"{answer} {step.name}")
        if answer == "approve":
            self._store.approve(step)
        else:
            self._store.reject(step)

    def _report(self, claimed: Claimed, report: Report) -> None:
        recorded = self._store.report(claimed, report, self._random.random())
        self.happened.append(f"{_name(claimed)} {report}{'' if recorded else ', dropped'}")

    def _take_away(self, how: str, step: Step) -> None:
        self.happened.append(f"{how} {step.name}")
        if how == "expire":
            self._store.expire(step, self._random.random())
        else:
            self._store.overrun(step)

    def _beat(self, claimed: Claimed) -> None:
        """What it is told must be what the books say."""
        holds = self._store.holders.get(claimed[0]) == claimed[1]
        active = self._store.run.status == "active"
        if self._store.beat(claimed) != ("lost" if not holds else "held" if active else "cancel"):
            raise Broken(f"the worker of {claimed} was told wrongly how it stands")

    def _come_to_an_end(self) -> None:
        """Workers that never fail again: a bounded number of claims and reports is left."""
        store = self._store
        if store.run.status == "active" and store.run.paused:
            self._tell("resume")
        for _ in range(2 * MOST_STEPS + MOST_SPLIT + 1):
            self._happen("approve")
            for step in store.claimable():
                self._claim(step)
            for claimed in list(store.holders.items()):
                self._report(claimed, "done")
        if store.run.steps or store.run.status == "active":
            raise Broken(f"the run is stuck: {[step.name for step in store.run.steps.values()]} never end")

    def _report_again(self) -> None:
        """After the end nobody changes anything any more."""
        store = self._store
        before = store.run, dict(store.steps), dict(store.results)
        for claimed in self._claims:
            if store.report(claimed, "done", 0.0) or store.beat(claimed) != "lost":
                raise Broken(f"the worker of {claimed} holds a step after its end")
        if before != (store.run, store.steps, store.results):
            raise Broken("a report after the end changed something")

    def _below(self, number: int) -> int:
        return int(self._random.random() * number)


def _name(claimed: Claimed) -> str:
    """As steps are called, with the fence of the claim."""
    position = claimed[0] - 100
    name = f"s{position}" if position < MOST_PARTS else f"s{position // MOST_PARTS - 1}p{position % MOST_PARTS}"
    return f"{name}#{claimed[1]}"
