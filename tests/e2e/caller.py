"""A caller of the public REST API who also wants to see refusals."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp

from embedded.demo.api import Api, Json

ENDED = ("completed", "failed", "cancelled")


class Caller(Api):
    """`Api` with whole answers, and with patience for services that are being killed."""

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """The status and the body, whatever they are."""
        async with self._session.request(method, self.url + path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def patiently(self, method: str, path: str, **options: Any) -> Any:
        """The body of the first answer below 500: what a caller with retries sees."""
        deadline = time.monotonic() + 60
        while True:
            try:
                status, body = await self.call(method, path, **options)
                if status < 500:
                    return body
            except (aiohttp.ClientError, TimeoutError):
                pass
            assert time.monotonic() < deadline, f"{method} {path} did not recover"
            await asyncio.sleep(0.3)

    async def upload_dataset(self, file: Path) -> str:
        dataset_id: str = (await self.upload("/api/v1/datasets/upload", file))["dataset_id"]
        return dataset_id

    async def job_when(self, job_id: str, *, status: tuple[str, ...] = ENDED, timeout: float = 150) -> Json:
        """The job as soon as it has one of the statuses."""
        deadline = time.monotonic() + timeout
        while True:
            job: Json = await self.patiently("GET", f"/api/v1/jobs/{job_id}")
            if job["status"] in status:
                return job
            assert time.monotonic() < deadline, f"{job_id} is still {job['status']}: {job['progress']}"
            await asyncio.sleep(0.25)

    async def running_agent(self, job_id: str, agent: str, timeout: float = 90) -> None:
        """Returns once that agent runs."""
        deadline = time.monotonic() + timeout
        while True:
            job = await self.patiently("GET", f"/api/v1/jobs/{job_id}")
            assert job["status"] not in ENDED, job
            if job["progress"]["current_agent"] == agent:
                return
            assert time.monotonic() < deadline, job["progress"]
            await asyncio.sleep(0.1)

    async def logs(self, run_id: str) -> list[Json]:
        page = await self.patiently("GET", f"/api/v1/logs/history/{run_id}?limit=1000")
        logs: list[Json] = page["logs"]
        return logs
