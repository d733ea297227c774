"""The losses of a training, as the log of its run tells them."""

from common.bus import Bus
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import GET_METRICS, GetMetrics
from registry.domain.lineage import Training
from registry.domain.plots import MOST_POINTS, Point, thinned

_log = get_logger("run_logs")
_TIMEOUT, _PATIENCE = 3.0, 0.2
"""Seconds: a card without its plot is better than one that is waited for."""
_AWAY = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.UNAVAILABLE, RefusalCode.TIMEOUT)


async def loss_curve(bus: Bus, training: Training) -> list[Point]:
    """The losses by step; empty where there are none, or the log cannot be read now."""
    try:
        return await read_losses(bus, training)
    except Refused as refused:
        if refused.code not in _AWAY:
            raise
        _log.info("log_not_read", run_id=training.run_id, error=refused.message)
        return []


async def read_losses(bus: Bus, training: Training) -> list[Point]:
    """As `loss_curve`. Raises `Refused` where the log cannot be read."""
    request = GetMetrics(run_id=training.run_id, agent=training.agent, points=MOST_POINTS)
    measured = await bus.ask(GET_METRICS, request, timeout=_TIMEOUT, patience=_PATIENCE)
    points: dict[int, Point] = {}
    for numbers in (numbers for series in measured.series for numbers in series.points):
        step = int(numbers["step"])
        points[step] = points.get(step, Point(step)).with_losses(numbers.get("loss"), numbers.get("eval_loss"))
    return thinned([point for _, point in sorted(points.items()) if point.is_told])
