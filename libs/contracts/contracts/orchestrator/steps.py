"""Steps: how a worker that owns no schema of the orchestrator's takes part in a job."""

from typing import Any, Literal

from pydantic import Field

from contracts.base import Event, EventBody, Message, Rpc, Timestamp
from contracts.pipeline import AgentOutput, GlobalConfig


class ClaimStep(Message):
    """Asks for one ready step of the given classes. `step_id` names the one of a hint; without it, the oldest."""

    worker_id: str = Field(min_length=1, max_length=200)
    agent_classes: list[str] = Field(min_length=1)
    step_id: int | None = None


class StepAdjustment(Message):
    """What somebody changed while the job went on; of several the one of the highest `number` holds."""

    number: int
    learning_rate: float
    by: str


class ClaimedStep(Message):
    """A step that is this worker's until its lease ends.

    `inputs` are the outputs of all its ancestors, nearest first. `adjustments` have been asked for before. `resumes` is
    the run that this one goes on from: what its agent of the same name left half-done may be taken up.
    """

    step_id: int
    fence: int
    attempt: int
    lease_seconds: float
    deadline: Timestamp
    job_id: str
    run_id: str
    agent_name: str
    agent_class: str
    config: dict[str, Any]
    global_config: GlobalConfig
    inputs: list[AgentOutput]
    traceparent: str | None = None
    adjustments: list[StepAdjustment] = []
    resumes: str | None = None


class ClaimReply(Message):
    step: ClaimedStep | None


class HeldStep(Message):
    """`adjusted` is the number of the last adjustment that its worker knows of."""

    step_id: int
    fence: int
    adjusted: int = 0


class BeatSteps(Message):
    worker_id: str
    steps: list[HeldStep] = Field(min_length=1, max_length=1000)


class StepVerdict(Message):
    """How a step stands, and what it has been adjusted to since.

    `held`: the lease is extended. `pause`: so it is, to come to a point to go on from; then finish as released.
    `cancel`: stop, then finish as cancelled. `lost`: another holds it; drop the work.
    """

    step_id: int
    verdict: Literal["held", "pause", "cancel", "lost"]
    adjustments: list[StepAdjustment] = []


class BeatReply(Message):
    verdicts: list[StepVerdict]


class StepSucceeded(Message):
    """`cached`: the output is that of an earlier run, since nothing that it depends on has changed."""

    outcome: Literal["succeeded"] = "succeeded"
    output: AgentOutput
    cached: bool = False


class StepFailed(Message):
    """`retryable`: another attempt may go better; bad input is not. `away`: a part of this platform was, as the object
    store: that is no attempt, and the step is tried again however often."""

    outcome: Literal["failed"] = "failed"
    code: str
    message: str
    metadata: dict[str, Any] = {}
    retryable: bool
    away: bool = False


class StepCancelled(Message):
    outcome: Literal["cancelled"] = "cancelled"


class StepReleased(Message):
    """The worker gives the step back, paused or since it shuts down: the attempt does not count."""

    outcome: Literal["released"] = "released"


class FinishStep(Message):
    step_id: int
    fence: int
    result: StepSucceeded | StepFailed | StepCancelled | StepReleased = Field(discriminator="outcome")


class FinishReply(Message):
    """`recorded` is false when the fence was passed on:

    the result is dropped, because another attempt holds the step.
    """

    recorded: bool


class FreeSteps(Message):
    """Asks for training steps whose checkpoints nobody will go on from. `freed` are those whose are gone by now."""

    freed: list[int] = Field(default=[], max_length=1000)


class EndedStep(Message):
    """A step that has ended for good. Of a `cancelled` one nobody wants anything, of others what they have put out."""

    step_id: int
    run_id: str
    agent_name: str
    cancelled: bool


class StepsToFree(Message):
    """Some of them, the oldest first; none when all are freed."""

    steps: list[EndedStep]


class ReuseResult(Message):
    """Asks to answer a held step with an earlier result, which lies at these `paths`."""

    step_id: int
    fence: int
    paths: list[str] = Field(max_length=1000)


class ReuseReply(Message):
    """`granted`: what lies there stays as long as the step's job does. Otherwise a job that made it was deleted, and it
    may be gone any moment."""

    granted: bool


class ForgetResults(Message):
    """Asks for deleted jobs whose results are not to be used again. Those of `forgotten` are not, by now."""

    forgotten: list[str] = Field(default=[], max_length=1000)


class ResultsToForget(Message):
    """The runs of some of them, the oldest first; none when all are forgotten."""

    run_ids: list[str]


CLAIM_STEP = Rpc("orchestrator.v1.steps.claim", ClaimStep, ClaimReply)
BEAT_STEPS = Rpc("orchestrator.v1.steps.beat", BeatSteps, BeatReply, timeout=5.0)
FINISH_STEP = Rpc("orchestrator.v1.steps.finish", FinishStep, FinishReply)
FREE_STEPS = Rpc("orchestrator.v1.steps.free", FreeSteps, StepsToFree)
REUSE_RESULT = Rpc("orchestrator.v1.steps.reuse", ReuseResult, ReuseReply)
FORGET_RESULTS = Rpc("orchestrator.v1.steps.forget", ForgetResults, ResultsToForget)


class StepReady(EventBody):
    """A hint, which may be lost: this step can be claimed."""

    step_id: int
    agent_class: str


STEP_READY = Event("work.trainer.step.ready", StepReady, stream="WORK")


class JobSteered(EventBody):
    """A hint, which may be lost: workers that hold steps of this run should beat for them now."""

    run_id: str


JOB_STEERED = Event("events.orchestrator.job.steered", JobSteered, stream="EVENTS")
