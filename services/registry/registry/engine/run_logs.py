"""The losses of a training, as the log of its run tells them."""

from common.bus import Bus
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import GET_LOGS, GetLogs
from registry.domain.plots import Point, thinned

_log = get_logger("run_logs")
_PAGE = 1000
_MOST_PAGES = 200
_TIMEOUT, _PATIENCE = 3.0, 0.2
"""Seconds: a card without its plot is better than one that is waited for."""
_AWAY = (RefusalCode.NOT_FOUND, RefusalCode.INVALID, RefusalCode.UNAVAILABLE, RefusalCode.TIMEOUT)


async def loss_curve(bus: Bus, run_id: str) -> list[Point]:
    """The losses by step; empty where there are none, or the log cannot be read now."""
    try:
        return await read_losses(bus, run_id)
    except Refused as refused:
        if refused.code not in _AWAY:
            raise
        _log.info("log_not_read", run_id=run_id, error=refused.message)
        return []


async def read_losses(bus: Bus, run_id: str) -> list[Point]:
    """As `loss_curve`. Raises `Refused` where the log cannot be read."""
    points: dict[int, Point] = {}
    after = 0
    for _ in range(_MOST_PAGES):
        request = GetLogs(run_id=run_id, limit=_PAGE, after=after)
        page = await bus.ask(GET_LOGS, request, timeout=_TIMEOUT, patience=_PATIENCE)
        for entry in page.entries:
            record = entry.record
            if record.level == "METRIC" and record.agent == "TrainingAgent" and record.step is not None:
                earlier = points.get(record.step, Point(record.step))
                points[record.step] = earlier.with_losses(record.loss, record.eval_loss)
        if len(page.entries) < _PAGE:
            break
        after = page.entries[-1].sequence
    return thinned([point for _, point in sorted(points.items()) if point.is_told])
