"""A short campaign: the adversary of `make chaos` for some seconds, on a smaller house."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos import stories
from tests.chaos.campaign import Progress, Settings, campaign
from tests.chaos.house import House
from tests.chaos.plan import Fleet

pytestmark = pytest.mark.e2e


def test_runs_survive_an_adversary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where other tests want the cores too, the engine itself may be too slow for its callers, and that costs attempts.
    monkeypatch.setattr(stories, "ATTEMPTS", {"retries": 20, "timeout": 60})
    settings = Settings(seed=33297, seconds=5, runs=24, pause=0.45, patience=90)
    with House(tmp_path / "house", Fleet(orchestrators=2, routers=2, gateways=2)) as house:
        outcome = asyncio.run(campaign(house, settings, Progress()))
    assert outcome.complaints == []
    assert [verdict.name for verdict in outcome.verdicts if not verdict.examined] == []
    assert len(outcome.history.hits) == len(outcome.plan)
