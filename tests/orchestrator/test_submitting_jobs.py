"""Jobs over the bus as they are submitted and listed."""

import asyncio
from typing import Any

import pytest

from common.bus import Bus
from common.context import Call, Principal, calling
from common.database import Database
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import LIST_JOBS, SUBMIT_JOB, ListJobs, SubmitJob
from contracts.pipeline import PipelineConfig

from .conftest import Jobs, Worker

pytestmark = pytest.mark.usefixtures("service")


async def test_a_refused_job_leaves_nothing_behind(caller: Bus, jobs: Jobs) -> None:
    with pytest.raises(Refused, match="cycle"):
        await jobs.submit(["a", "b"], [("a", "b"), ("b", "a")])
    assert (await caller.ask(LIST_JOBS, ListJobs())).total == 0


async def test_the_same_job_under_the_same_run_id_is_entered_once(caller: Bus, jobs: Jobs) -> None:
    answers = await asyncio.gather(*(jobs.submit(["a"], run_id="same") for _ in range(5)))
    assert len({answer.created_at for answer in answers}) == 1
    assert (await caller.ask(LIST_JOBS, ListJobs())).total == 1


async def test_another_job_under_a_taken_run_id_is_refused(jobs: Jobs) -> None:
    await jobs.submit(["a"], run_id="taken")
    with pytest.raises(Refused, match="'taken'") as refused:
        await jobs.submit(["b"], run_id="taken")
    assert refused.value.code is RefusalCode.CONFLICT


async def test_an_idempotency_key_enters_one_job(caller: Bus, jobs: Jobs) -> None:
    principal = Principal(id="u1", name="u", role="member")
    with calling(Call(principal=principal, idempotency_key="k1")):
        answers = await asyncio.gather(*(jobs.submit(["a"]) for _ in range(5)))
        assert len({answer.job_id for answer in answers}) == 1
        with pytest.raises(Refused, match="idempotency key") as refused:
            await jobs.submit(["b"])
    assert refused.value.code is RefusalCode.CONFLICT
    with calling(Call(principal=principal, idempotency_key="k2")):
        assert (await jobs.submit(["a"])).job_id != answers[0].job_id


async def test_jobs_that_come_at_once_stand_in_line_one_behind_the_other(jobs: Jobs, database: Database) -> None:
    """Those in one place would be served together, before anybody else's turn came."""
    await asyncio.gather(*(jobs.submit(["a"]) for _ in range(12)))
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(DISTINCT turn) FROM steps") == 12


async def test_a_key_is_its_owners_alone(jobs: Jobs) -> None:
    answers = []
    for user in ("u1", "u2"):
        with calling(Call(principal=Principal(id=user, name=user, role="member"), idempotency_key="k")):
            answers.append(await jobs.submit(["a"]))
    assert answers[0].job_id != answers[1].job_id


async def test_a_named_data_set_must_be_there(caller: Bus, datasets: set[str]) -> None:
    config = PipelineConfig.model_validate(
        {"nodes": [{"agent_name": "a", "agent_class": "DatasetAgent", "config": {"dataset_id": "ds_12345678"}}]}
    )
    with pytest.raises(Refused, match="no such data set") as refused:
        await caller.ask(SUBMIT_JOB, SubmitJob(pipeline_config=config))
    assert refused.value.code is RefusalCode.NOT_FOUND
    datasets.add("ds_12345678")
    assert (await caller.ask(SUBMIT_JOB, SubmitJob(pipeline_config=config))).status == "pending"


async def test_jobs_are_listed_newest_first_and_by_status(caller: Bus, jobs: Jobs, worker: Worker) -> None:
    for name in ("one", "two", "three"):
        await jobs.submit(["a"], run_id=name)
    await worker.succeed(await worker.take())
    await worker.take()

    async def listed(**query: Any) -> list[str]:
        return [job.run_id for job in (await caller.ask(LIST_JOBS, ListJobs(**query))).items]

    assert await listed() == ["three", "two", "one"]
    assert await listed(status="completed") == ["one"]
    assert await listed(status="running") == ["two"]
    assert await listed(status="pending") == ["three"]
    assert await listed(status="failed") == []
    page = await caller.ask(LIST_JOBS, ListJobs(limit=1, offset=1))
    assert ([job.run_id for job in page.items], page.total, page.has_more) == (["two"], 3, True)
    assert not (await caller.ask(LIST_JOBS, ListJobs(limit=1, offset=2))).has_more
