"""The child process: one step after another, whatever libraries print, however it dies."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from common.datafiles.limits import Limits
from contracts.orchestrator import LogRecord, StepFailed, StepSucceeded
from trainer.engine.child_process import ChildDied, ChildProcess
from trainer.engine.orders import Order, StorageAccess

MakeOrder = Callable[..., Order]


@pytest.fixture
async def child(stub_child: list[str]) -> AsyncIterator[ChildProcess]:
    child = ChildProcess(stub_child)
    yield child
    await child.close()


@pytest.fixture
def order(make_step: Callable[..., Any], storage: StorageAccess, tmp_path: Path) -> MakeOrder:
    def make(behaviour: str) -> Order:
        step = make_step("DatasetAgent", {"file_path": f"s3://stub/{behaviour}"})
        directory = tmp_path / str(step.step_id)
        return Order(step=step, storage=storage, limits=Limits(), models_dir=tmp_path, directory=directory)

    return make


@pytest.fixture
def records() -> list[LogRecord]:
    return []


async def test_it_does_one_step_after_another_in_the_same_process(
    child: ChildProcess, order: MakeOrder, records: list[LogRecord]
) -> None:
    for _ in range(2):
        assert isinstance(await child.run(order("pid"), records.append), StepSucceeded)
    pids = [record.message for record in records if record.message.isdigit()]
    assert len(pids) == 2
    assert len(set(pids)) == 1


async def test_what_libraries_print_does_not_disturb_the_conversation(
    child: ChildProcess, order: MakeOrder, records: list[LogRecord]
) -> None:
    assert isinstance(await child.run(order("noise"), records.append), StepSucceeded)
    assert [record.message for record in records] == ["working"]


async def test_records_carry_run_agent_and_numbers(
    child: ChildProcess, order: MakeOrder, records: list[LogRecord], run_id: str
) -> None:
    await child.run(order("chatty"), records.append)
    assert len(records) == 2001
    last = records[-1]
    assert (last.run_id, last.agent, last.level) == (run_id, "DatasetAgent", "METRIC")
    assert (last.step, last.loss) == (1999, 1 / 2000)


async def test_a_refusal_is_an_outcome_with_document_es_code(
    child: ChildProcess, order: MakeOrder, records: list[LogRecord]
) -> None:
    result = await child.run(order("refuse"), records.append)
    assert result == StepFailed(code="DATASET_ERROR", message="broken", metadata={"line": 7}, retryable=False)


async def test_an_error_in_an_agent_is_an_outcome_too_and_keeps_the_process(
    child: ChildProcess, order: MakeOrder, records: list[LogRecord]
) -> None:
    result = await child.run(order("crash"), records.append)
    assert isinstance(result, StepFailed)
    assert result.code == "INTERNAL_ERROR"
    assert "internal detail" not in result.message
    assert isinstance(await child.run(order("ok"), records.append), StepSucceeded)


@pytest.mark.parametrize(("behaviour", "reason"), [("die", "killed, perhaps"), ("exit", "status 3")])
async def test_a_death_is_told_and_the_next_step_finds_a_new_process(
    child: ChildProcess, order: MakeOrder, records: list[LogRecord], behaviour: str, reason: str
) -> None:
    with pytest.raises(ChildDied, match=reason):
        await child.run(order(behaviour), records.append)
    assert isinstance(await child.run(order("ok"), records.append), StepSucceeded)


async def test_a_process_that_died_while_idle_costs_no_step(
    child: ChildProcess, order: MakeOrder, records: list[LogRecord]
) -> None:
    await child.run(order("pid"), records.append)
    os.kill(int(records[-1].message), signal.SIGKILL)
    await asyncio.sleep(0.3)
    assert isinstance(await child.run(order("ok"), records.append), StepSucceeded)


async def test_cancelling_kills_the_work_at_once_and_the_next_step_runs(
    child: ChildProcess, order: MakeOrder, records: list[LogRecord]
) -> None:
    await child.ready()
    running = asyncio.create_task(child.run(order("hang"), records.append))
    while not records:  # noqa: ASYNC110 - another process writes them
        await asyncio.sleep(0.02)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(running, timeout=5)
    assert running.cancelled()
    assert isinstance(await child.run(order("ok"), records.append), StepSucceeded)


async def test_a_child_that_cannot_start_is_tried_again(tmp_path: Path, stub_child: list[str]) -> None:
    flag = tmp_path / "started-once"
    script = f"test -e {flag} && exec {' '.join(stub_child)}; touch {flag}; exit 1"
    child = ChildProcess(["sh", "-c", script])
    await asyncio.wait_for(child.ready(), timeout=20)
    await child.close()


def _alive(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux")
def test_it_dies_with_its_parent_even_in_the_middle_of_work(stub_child: list[str], order: MakeOrder) -> None:
    line = order("hang").model_dump_json().encode() + b"\n"
    program = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen({stub_child!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "child.stdout.readline()\n"
        f"child.stdin.write({line!r})\n"
        "child.stdin.flush()\n"
        "child.stdout.readline()\n"
        "print('working', flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen([stub_child[0], "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert parent.stdout.readline() == b"working\n"
    assert _alive(pid)
    parent.kill()
    parent.communicate()
    for _ in range(100):
        if not _alive(pid):
            return
        time.sleep(0.05)
    pytest.fail("the child outlived its parent")
