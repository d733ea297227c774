"""How patient the engine is. All times are seconds."""

from dataclasses import dataclass

from orchestrator.domain.jobs import KIND as JOB

_MOST_DOUBLINGS = 60


@dataclass(frozen=True)
class Policy:
    """`lease`: how long a worker may be silent. `cancel_grace`: how long it may take to stop after its run has ended.
    An attempt that is cut off, as by the death of its worker, is none, but for one after `interruptions` of them.

    `retry_base` and `retry_cap` bound the pause before another attempt. `hint_pause`: how long a ready step may stay
    unclaimed before another hint about it goes out; each further pause is twice as long, up to 16 times. A step of a
    task is tried `task_attempts` times at most and given `task_step_timeout` each time; `payload_attempts` and
    `payload_timeout` hold for a payload of a workflow that says nothing else. An action is given `action_timeout`, with
    the second round that an answer of the wrong form gets. What a failed training left to go on from is kept for
    `keep_failed`.
    """

    lease: float
    interruptions: int
    cancel_grace: float
    retry_base: float
    retry_cap: float
    hint_pause: float
    task_attempts: int
    task_step_timeout: float
    payload_attempts: int
    payload_timeout: float
    action_timeout: float
    keep_failed: float

    def pause_before_hint(self, run_kind: str) -> float | None:
        """As `hint_pause`; None for runs whose steps the orchestrator does itself, which looks without a hint."""
        return self.hint_pause if run_kind == JOB else None

    def pause_after(self, attempt: int, chance: float) -> float:
        """The pause after failed attempt `attempt` (the first is 1): doubling from `retry_base` up to `retry_cap`, of
        which `chance` (0 to 1) takes up to a half, so that steps that failed together do not come back together."""
        doubled = self.retry_base * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)
        return min(self.retry_cap, doubled) * (1 - chance / 2)

    def pause_after_silence(self, chance: float) -> float:
        """The pause after a lease ended, which was wait enough: `chance` keeps a crowd from coming back at once."""
        return self.retry_base * chance
