"""The main job, as a newcomer does it: `make demo` against a running platform."""

import os
import subprocess
import sys

import pytest

from embedded.platform import Platform
from tests.e2e.caller import Caller

pytestmark = pytest.mark.e2e


async def test_the_demo_turns_a_raw_file_into_a_served_model(platform: Platform, caller: Caller) -> None:
    done = subprocess.run(  # noqa: ASYNC221 - nothing else happens meanwhile
        [sys.executable, "-m", "embedded.demo", "--url", platform.url, "--key", platform.admin_key, "--epochs", "1"],
        env={**os.environ, "PLATFORM_DATA_DIR": str(platform.data_dir)},
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    model = await caller.get("/api/v1/models/python-docs")
    assert model["metrics"]["eval_loss"] < 0.85 * model["metrics"]["base_loss"]
    assert model["exports"]["adapter"].startswith("s3://artifacts/")
    job = await caller.get(f"/api/v1/jobs/job_{model['run_id']}")
    assert job["result"]["dataset"]["rows"] >= 2000
    assert job["model_id"] == model["model_id"]
