"""Kill any service while a job runs, or several at once: all come back, it completes, and nothing is done twice."""

import asyncio
import uuid
from collections import Counter
from pathlib import Path

import pytest

from embedded.platform import Platform
from tests.e2e.caller import Caller
from tests.e2e.pipelines import pipeline

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    "services", [("trainer",), ("orchestrator",), ("gateway", "registry", "llm_router")], ids=", ".join
)
async def test_a_job_survives_the_death_of(
    services: tuple[str, ...], platform: Platform, caller: Caller, base_model: str, small_csv: Path
) -> None:
    run_id = f"kill-{services[0]}-{uuid.uuid4().hex[:6]}"
    dataset_id = await caller.upload_dataset(small_csv)
    # A seed of its own keeps the job from being answered out of the cache of an earlier one.
    seed = uuid.uuid4().int % 2**31
    body = pipeline(dataset_id, base_model, run_id=run_id, seed=seed)
    job_id = (await caller.post("/api/v1/jobs", body))["job_id"]
    await caller.running_agent(job_id, "training")
    killed = {service: platform.kill(service) for service in services}
    for service, old in killed.items():
        await asyncio.to_thread(platform.wait_restarted, service, old)
    job = await caller.job_when(job_id)

    assert job["status"] == "completed", job["error"]
    models = (await caller.patiently("GET", "/api/v1/models?limit=100"))["models"]
    assert [m["model_id"] for m in models if m["run_id"] == run_id] == [job["model_id"]]
    logs = await caller.logs(run_id)
    finished = Counter(
        log["message"] for log in logs if log["agent"] == "Orchestrator" and "completed" in log["message"]
    )
    assert finished
    assert max(finished.values()) == 1, finished
    metrics = [log["step"] for log in logs if log["level"] == "METRIC" and log["agent"] == "TrainingAgent"]
    assert metrics[-1] == job["result"]["training"]["steps"]
    answer = await caller.patiently(
        "POST",
        "/v1/chat/completions",
        json={"model": job["model_id"], "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4},
    )
    assert answer["choices"][0]["message"]["role"] == "assistant"
