"""Stop the platform while a model trains, and start it again: the job goes on from its last checkpoint."""

import asyncio
import uuid
from pathlib import Path

import pytest

from embedded.platform import Platform
from tests.e2e.caller import Caller
from tests.e2e.pipelines import pipeline

pytestmark = pytest.mark.e2e


async def past_step(caller: Caller, run_id: str, step: int) -> None:
    """Returns once the log tells of that training step."""
    for _ in range(300):
        if any(log.get("step", 0) >= step for log in await caller.logs(run_id)):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{run_id} did not reach step {step}")


async def test_training_goes_on_from_its_last_checkpoint(platform: Platform, base_model: str, small_csv: Path) -> None:
    run_id = f"restart-{uuid.uuid4().hex[:6]}"
    async with Caller(platform.url, platform.admin_key) as caller:
        dataset_id = await caller.upload_dataset(small_csv)
        body = pipeline(dataset_id, base_model, run_id=run_id, epochs=3, seed=uuid.uuid4().int % 2**31)
        job_id = (await caller.post("/api/v1/jobs", body))["job_id"]
        await caller.running_agent(job_id, "training")
        await past_step(caller, run_id, 30)
    await asyncio.to_thread(platform.stop)
    await asyncio.to_thread(platform.start)
    async with Caller(platform.url, platform.admin_key) as caller:
        job = await caller.job_when(job_id)
        assert job["status"] == "completed", job["error"]
        training = job["result"]["training"]
        assert training["resumed_from_step"] > 0
        logs = await caller.logs(run_id)
        # It was given back in time: nobody had to wait for the end of its lease.
        assert any("was given back by its worker" in log["message"] for log in logs)
        steps = [log["step"] for log in logs if log["level"] == "METRIC" and log["agent"] == "TrainingAgent"]
        assert steps[-1] == training["steps"]
