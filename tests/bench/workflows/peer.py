"""DBOS Transact: a workflow of three steps that answer at once. Runs alone, in an environment that has `dbos`."""

import asyncio
import json
import statistics
import sys
import time
from typing import Any

from dbos import DBOS


@DBOS.step()
async def step(number: int) -> dict[str, str]:
    return {"text": f"step {number}"}


@DBOS.workflow()
async def workflow(number: int) -> dict[str, str]:
    await step(0)
    await step(1)
    return await step(2)


async def run(number: int) -> None:
    handle = await DBOS.start_workflow_async(workflow, number)
    await handle.get_result()


async def lone(runs: int) -> dict[str, float]:
    """Called as they are, which is their faster way when there is one."""
    seconds = []
    for number in range(runs):
        began = time.perf_counter()
        await workflow(number)
        seconds.append(time.perf_counter() - began)
    return {
        "seconds": sum(seconds),
        "p50": statistics.median(seconds),
        "p95": statistics.quantiles(seconds, n=20)[-1],
    }


async def crowd(runs: int, in_flight: int) -> dict[str, float]:
    numbers = iter(range(runs))

    async def one_after_another() -> None:
        for number in numbers:
            await run(number)

    began = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))
    return {"seconds": time.perf_counter() - began}


async def measure(job: dict[str, Any]) -> dict[str, float]:
    DBOS(config={"name": "bench", "system_database_url": job["url"], "log_level": "ERROR"})
    DBOS.launch()
    try:
        await run(0)
        return await (lone(job["runs"]) if job["kind"] == "lone" else crowd(job["runs"], job["in_flight"]))
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(json.loads(sys.argv[1])))))
