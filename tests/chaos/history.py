"""What was done and seen while the adversary was at work, for the checks to judge. Moments are Unix seconds."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

ENDED = frozenset({"completed", "failed", "cancelled"})
LAST_EVENTS = frozenset({"workflow_completed", "workflow_failed"})

Act = Literal["cancel", "pause", "resume", "approve", "reject"]


# What was done


@dataclass(frozen=True)
class Hit:
    """A deed as it was done. After `ended` what it hit was at work again; `note` says more for a reader."""

    number: int
    deed: str
    target: str
    began: float
    ended: float
    note: str = ""


@dataclass(frozen=True)
class Accepted:
    """A caller was told that the start under its key became this run."""

    key: str
    run_id: int
    at: float


@dataclass(frozen=True)
class Steered:
    """Somebody told a run to do something; `status` is the answer's, 200 or a refusal."""

    run_id: int
    act: Act
    asked: float
    answered: float
    status: int


# What callers and watchers saw


@dataclass(frozen=True)
class Sight:
    """Somebody, who looks at one thing at a time, saw a run in that state. A state is entered once until it changes."""

    who: str
    run_id: int
    status: str
    at: float


@dataclass(frozen=True)
class Reading:
    """Somebody was told the response to a payload."""

    who: str
    run_id: int
    payload_id: int
    content: str


@dataclass(frozen=True)
class StepSight:
    """A step was seen in the database: its state, and a digest of its output."""

    step_id: int
    status: str
    digest: str


@dataclass(frozen=True)
class Told:
    """A watcher was sent a message."""

    who: str
    id: int
    run_id: int
    type: str
    payload_id: int | None = None
    content: str | None = None


# What engines and workers know


@dataclass(frozen=True)
class Serving:
    """A completion asked of the engine. `tag` names run, payload and item; `ended` is None for a broken one."""

    number: int
    tag: str
    began: float
    ended: float | None


@dataclass(frozen=True)
class Finish:
    """A worker reported a step of a job as done, with a number of `rows` of its own; whether that counts."""

    step_id: int
    fence: int
    rows: int
    recorded: bool


# What the database holds in the end


@dataclass(frozen=True)
class Bill:
    """An interaction that is recorded; one that has not `completed` was left or failed before its end was heard."""

    interaction_id: str
    tag: str
    completed: bool = True


@dataclass(frozen=True)
class StepRow:
    """A payload's step. `kept` ones have the response of the parent run."""

    position: int
    payload_id: int
    name: str
    status: str
    needs: tuple[int, ...] = ()
    content: str | None = None
    prompt: str | None = None
    kept: bool = False
    started_at: float | None = None


@dataclass(frozen=True)
class RunRow:
    """A run of a workflow; `tag` is the input that all its prompts begin with, `error` why it failed."""

    run_id: int
    key: str
    tag: str
    status: str
    steps: tuple[StepRow, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class JobStep:
    """`rows` is the number that a worker reported of a job's step, `content` what a task's was answered."""

    step_id: int
    status: str
    rows: int | None
    content: str | None = None


@dataclass(frozen=True)
class JobRow:
    """A job or a planned task; `key` is the caller's idempotency key."""

    job_id: str
    key: str
    status: str
    steps: tuple[JobStep, ...] = ()


@dataclass
class History:
    """Everything. `expected` says in which states the run of a key may end, `jobs_accepted` which job or task a key
    became, `due` are the keys of starts of schedules that were due.

    `left` counts what should be none at the end, by what it is; `crashes` are lines of the services' logs, and
    `noticed` counts those that tell that the adversary was felt.
    """

    hits: list[Hit] = field(default_factory=list)
    expected: dict[str, frozenset[str]] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    jobs_accepted: list[tuple[str, str]] = field(default_factory=list)
    due: list[str] = field(default_factory=list)
    steered: list[Steered] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    step_sights: list[StepSight] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    servings: list[Serving] = field(default_factory=list)
    finishes: list[Finish] = field(default_factory=list)
    bills: list[Bill] = field(default_factory=list)
    runs: list[RunRow] = field(default_factory=list)
    jobs: list[JobRow] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    noticed: Counter[str] = field(default_factory=Counter)

    def run(self, run_id: int) -> RunRow | None:
        return next((row for row in self.runs if row.run_id == run_id), None)
