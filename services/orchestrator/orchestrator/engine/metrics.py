"""What operators watch of the engine. Labels are agent classes and states, never runs or people."""

from common.telemetry import SECONDS, Counter, Gauge, Histogram
from orchestrator.domain.machine import Transition
from orchestrator.domain.records import Claim

STEPS_CLAIMED = Counter("orchestrator_steps_claimed_total", "Attempts at a step that started", ["kind"])
STEPS_SETTLED = Counter(
    "orchestrator_steps_settled_total",
    "Attempts at a step that ended, by the state it left the step in",
    ["kind", "state"],
)
RUNS_STARTED = Counter(
    "orchestrator_runs_started_total", "Runs of workflows that were entered, by what started them", ["trigger"]
)
RUNS_ENDED = Counter(
    "orchestrator_runs_ended_total", "Runs that ended, by what started them and how", ["kind", "trigger", "status"]
)
STEP_WAIT = Histogram(
    "orchestrator_step_wait_seconds",
    "How long a step that could be claimed was not",
    ["kind"],
    # A training waits for a GPU for as long as others train on it.
    buckets=(*SECONDS, 1800, 3600, 14_400, 86_400),
)
HINTS_REPEATED = Counter("orchestrator_hints_repeated_total", "Hints sent again because nobody claimed the step")
RESULTS_DROPPED = Counter("orchestrator_results_dropped_total", "Reports of workers that had lost their step")
STEPS_OPEN = Gauge("orchestrator_steps_open", "Steps that are ready or running now", ["kind", "status"])


def count_claim(claim: Claim) -> None:
    STEPS_CLAIMED.labels(claim.kind).inc()
    STEP_WAIT.labels(claim.kind).observe(max(claim.waited, 0))


def count_transition(transition: Transition) -> None:
    """Call it once the transaction has committed."""
    if transition.step is not None:
        STEPS_SETTLED.labels(transition.step.kind, transition.step.status).inc()
    if transition.ended is not None:
        RUNS_ENDED.labels(transition.run.kind, transition.run.trigger, transition.ended).inc()
