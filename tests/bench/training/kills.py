"""`make kill-training`: kills the trainer at random moments of a job, and compares with a job that nobody disturbed.

The job must complete, with the same loss at every step, and enter its model into the registry once. Ends with status 1
when it does not.
"""

import argparse
import asyncio
import sys
import tempfile
import time
import uuid
from pathlib import Path
from random import Random

from rich.console import Console

from embedded.demo import questions
from embedded.demo.api import Json
from embedded.platform import FREE_PORTS, Platform
from tests.e2e.caller import Caller
from tests.e2e.pipelines import pipeline

_MODEL = "small-llama"
_PATIENCE = 1800
_TOLERANCE = 1e-3
"""Relative difference of losses that a float's rounding explains, and another row or rate does not."""
_STEPS = 240


def main() -> None:
    parser = argparse.ArgumentParser(prog="make kill-training", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="of the moments (default: random, and told)")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(f"{options.kills} kills, seed {seed}")
    with tempfile.TemporaryDirectory() as name:
        environment = {**FREE_PORTS, "PLATFORM_LEASE_SECONDS": "4", "PLATFORM_USER_REQUESTS_PER_MINUTE": "1000000"}
        with Platform(Path(name) / "data", environment) as platform:
            wrong = asyncio.run(_try(platform, Path(name), options.kills, Random(seed), console))
    for line in wrong:
        console.print(f"[red]{line}")
    sys.exit(bool(wrong))


async def _try(platform: Platform, place: Path, kills: int, random: Random, console: Console) -> list[str]:
    """What was wrong in the end; nothing, if all was well."""
    async with Caller(platform.url, platform.admin_key) as caller:
        dataset_id = await _prepare(platform, caller, place)
        calm, began = await _submit(caller, dataset_id, "calm"), time.monotonic()
        await caller.job_when(calm["job_id"], timeout=_PATIENCE)
        calmly = time.monotonic() - began
        expected = await _losses(caller, calm["run_id"])
        console.print(f"undisturbed: {len(expected)} records in {calmly:.0f} s")
        disturbed = await _submit(caller, dataset_id, "disturbed")
        await caller.running_agent(disturbed["job_id"], "training")
        began = time.monotonic()
        for number in range(kills):
            await asyncio.sleep(random.uniform(0.2, 6.0))
            status = (await caller.patiently("GET", f"/api/v1/jobs/{disturbed['job_id']}"))["status"]
            if status in ("completed", "failed", "cancelled"):
                return [f"the job was {status} after {number} kills: too soon to see {kills}"]
            old = platform.kill("trainer")
            await asyncio.to_thread(platform.wait_restarted, "trainer", old)
            console.print(f"kill {number + 1} after {time.monotonic() - began:.1f} s")
        job = await caller.job_when(disturbed["job_id"], timeout=_PATIENCE)
        losses = await _losses(caller, disturbed["run_id"])
        models = (await caller.get("/api/v1/models?limit=100"))["models"]
    registered = [model["model_id"] for model in models if model["run_id"] == disturbed["run_id"]]
    console.print(f"disturbed: {job['status']}, {len(losses)} records, registered {len(registered)} times")
    return _verdict(job, registered, expected, losses)


async def _prepare(platform: Platform, caller: Caller, place: Path) -> str:
    library = questions.read_library()
    text = place / "prose.txt"
    text.write_text("\n\n".join(library.prose[:400]), encoding="utf-8")
    out = platform.data_dir / "models" / _MODEL
    command = ["-m", "trainer.tiny_model", "--text", str(text), "--out", str(out), "--steps", "5"]
    making = await asyncio.create_subprocess_exec(sys.executable, *command)
    if await making.wait():
        raise SystemExit("the base model could not be made")
    rows = place / "rows.csv"
    questions.write_csv(questions.sample(library.functions, 600), rows)
    return await caller.upload_dataset(rows)


async def _submit(caller: Caller, dataset_id: str, name: str) -> Json:
    run_id = f"{name}-{uuid.uuid4().hex[:6]}"
    body = pipeline(
        dataset_id, _MODEL, run_id=run_id, max_steps=_STEPS, batch_size=8, save_steps=8, logging_steps=4, seed=3
    )
    body["pipeline_config"]["global_config"] = {"max_retries": 20, "use_cache": False}
    job: Json = await caller.post("/api/v1/jobs", body)
    return {"job_id": job["job_id"], "run_id": run_id}


async def _losses(caller: Caller, run_id: str) -> dict[int, list[float]]:
    """All losses that were recorded of each step: some steps were taken more than once."""
    losses: dict[int, list[float]] = {}
    for log in await caller.logs(run_id):
        if log["agent"] == "TrainingAgent" and log.get("loss") is not None:
            losses.setdefault(log["step"], []).append(log["loss"])
    return losses


def _verdict(
    job: Json, registered: list[str], expected: dict[int, list[float]], losses: dict[int, list[float]]
) -> list[str]:
    wrong = []
    if job["status"] != "completed":
        wrong.append(f"the job ended as {job['status']}: {job['error']}")
    if len(registered) != 1:
        wrong.append(f"the model is registered {len(registered)} times")
    if missing := expected.keys() - losses.keys():
        wrong.append(f"no loss is recorded of steps {sorted(missing)}")
    for step, (loss, *_) in expected.items():
        wrong += [
            f"step {step}: loss {other} instead of {loss}"
            for other in losses.get(step, [])
            if abs(other - loss) > _TOLERANCE * loss
        ]
    return wrong


if __name__ == "__main__":
    main()
