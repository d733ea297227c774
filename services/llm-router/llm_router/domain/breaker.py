"""A circuit breaker per engine: after failures in a row nothing is sent for a while, then one request tries it out."""

from dataclasses import dataclass


@dataclass
class Breaker:
    """Closed (all pass), open (none pass until `open_until`), half-open (one passes and decides).

    Times are seconds of one monotonic clock, given by the caller. Each time a trial fails the pause doubles, up to
    `longest`.
    """

    threshold: int = 5
    cooldown: float = 5.0
    longest: float = 60.0
    failures: int = 0
    open_until: float = 0.0
    trying: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has tripped and no trial has succeeded since."""
        return self.failures >= self.threshold

    def allows(self, now: float) -> bool:
        return not self.is_open or (now >= self.open_until and not self.trying)

    def start(self) -> None:
        """A request is sent; if it has tripped, this is the trial."""
        self.trying = self.is_open

    def succeed(self) -> None:
        self.failures = 0
        self.trying = False

    def fail(self, now: float) -> None:
        self.failures += 1
        self.trying = False
        if self.is_open:
            pause = self.cooldown * 2.0 ** min(self.failures - self.threshold, 16)
            self.open_until = now + min(pause, self.longest)

    def abandon(self) -> None:
        """The request ended without saying anything about the engine."""
        self.trying = False
