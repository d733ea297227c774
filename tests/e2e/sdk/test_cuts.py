"""Connections that are cut in the middle: what the SDK for Python makes of them."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.platform import Platform
from llm_platform import (
    AsyncClient,
    Client,
    ConnectionFailed,
    Retries,
    StreamBroken,
)
from tests.e2e.cutting import Cutter
from tests.e2e.sdk.conftest import Example

pytestmark = pytest.mark.e2e

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def cut(platform: Platform, cutter: Cutter) -> Iterator[Client]:
    """A client whose way to the platform is cut."""
    with Client(cutter.url, platform.admin_key, retries=Retries(first_pause=0.01)) as client:
        yield client


def test_a_log_that_is_cut_comes_whole(cut: Client, cutter: Cutter, sdk: Client, example: Example) -> None:
    whole = list(sdk.logs.history(example.run_id))
    cutter.cut(down=(900, 1500, 1100))
    lines = list(cut.logs.stream(example.run_id))
    assert cutter.cuts == 3
    assert [line.message for line in lines] == [line.message for line in whole]
    sequences = [line.sequence for line in lines]
    assert sequences == sorted(set(sequences))
    assert list(sdk.logs.stream(example.run_id, after=sequences[3])) == lines[4:]


def test_a_chat_that_is_cut_is_an_error_and_not_an_answer(cut: Client, cutter: Cutter) -> None:
    cutter.cut(down=(3000,))
    pieces = []
    with pytest.raises(StreamBroken, match="ask anew"):
        for chunk in cut.chat.stream(model="simulated-small", messages=HELLO, max_tokens=60):
            pieces.append(chunk)  # noqa: PERF402 - it raises on the way
    assert pieces
    assert cutter.cuts == 1


async def test_a_chat_that_is_cut_is_an_error_for_async_programs_too(platform: Platform, cutter: Cutter) -> None:
    cutter.cut(down=(3000,))
    async with AsyncClient(cutter.url, platform.admin_key) as client:
        with pytest.raises(StreamBroken):
            async for _ in client.chat.stream(model="simulated-small", messages=HELLO, max_tokens=60):
                pass


def test_a_completion_whose_answer_is_lost_is_paid_for_once(cut: Client, cutter: Cutter, sdk: Client) -> None:
    words = f"Hello {uuid.uuid4().hex}"
    cutter.cut(down=(10,))
    answer = cut.chat.create(model="simulated-small", messages=[{"role": "user", "content": words}], max_tokens=5)
    assert (answer.choices[0].message.content, cutter.cuts) != ("", 0)
    asked = [each for each in sdk.usage.interactions(limit=20) if words in (each.input_text or "")]
    assert len(asked) <= 1


def test_a_download_that_is_cut_goes_on(
    cut: Client, cutter: Cutter, sdk: Client, example: Example, tmp_path: Path
) -> None:
    model_id = sdk.jobs.get(f"job_{example.run_id}").model_id
    assert model_id is not None
    cutter.cut(down=(200_000, 100_000, 5_000))
    through: list[int] = []
    kept = cut.models.download(model_id, tmp_path / "adapter.tar", progress=lambda done, _: through.append(done))
    assert cutter.cuts == 3
    assert through == sorted(through)
    [whole] = sdk.models.download(model_id, tmp_path / "whole.tar")
    assert kept[0].read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("rows", [200_000, 1_000_000], ids=["sent again", "gone on with"])
def test_an_upload_that_is_cut_is_kept_once(
    rows: int, cut: Client, cutter: Cutter, sdk: Client, tmp_path: Path
) -> None:
    name = f"{uuid.uuid4().hex}.csv"
    (tmp_path / name).write_text("question,answer\n" + "what,that\n" * rows)
    cutter.cut(up=(300_000, 700_000))
    assert cut.datasets.upload(tmp_path / name).rows == rows
    assert cutter.cuts == 2
    assert [dataset.filename for dataset in sdk.datasets.list(limit=20)].count(name) == 1


def test_an_upload_that_is_cut_again_and_again_says_so_and_leaves_nothing(
    cut: Client, cutter: Cutter, sdk: Client, tmp_path: Path
) -> None:
    name = f"{uuid.uuid4().hex}.csv"
    (tmp_path / name).write_text("question,answer\n" + "what,that\n" * 100_000)
    cutter.cut(up=(300_000,) * 4)
    with pytest.raises(ConnectionFailed, match="upload"):
        cut.datasets.upload(tmp_path / name)
    assert name not in [dataset.filename for dataset in sdk.datasets.list(limit=20)]


def test_events_that_are_cut_come_whole(cut: Client, cutter: Cutter, sdk: Client, port: int) -> None:
    block = sdk.blocks.create(title="Cut", content="Name a sea.")
    saved = [sdk.payloads.create(name=f"Cut {n}", llm_port=port, response_length=40, blocks=[block.id]) for n in (1, 2)]
    run_id = sdk.workflows.execute(
        sdk.workflows.create(name="Cut", payloads=[payload.id for payload in saved]).id
    ).run_id
    cutter.cut(down=(600, 700))
    with cut.events.watch(run_id=run_id, after=0) as events:
        seen = []
        for event in events:
            seen.append(event)
            if event.type.startswith("workflow_"):
                break
    assert cutter.cuts == 2
    assert [event.id for event in seen] == [event.id for event in sdk.runs.follow(run_id)]
