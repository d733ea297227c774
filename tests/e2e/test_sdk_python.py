"""The SDK for Python against the whole platform: document E's example as it is written, and every family."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedded.platform import Platform
from llm_platform import (
    ApiError,
    AsyncClient,
    Client,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    JobFailed,
    NotFound,
    Retries,
    StreamBroken,
    Unauthenticated,
)
from tests.e2e.cutting import Cutter
from tests.e2e.pipelines import pipeline

pytestmark = pytest.mark.e2e

# Document E, "Python SDK (Example)".
EXAMPLE = """\
from llm_platform import Client

# Initialize client
client = Client(base_url="http://localhost:8000/api/v1")

# Upload dataset
dataset = client.datasets.upload("training_data.csv")
print(f"Dataset ID: {dataset.dataset_id}")

# Submit pipeline job
job = client.jobs.create({
    "pipeline_config": {
        "nodes": [...],
        "edges": [...]
    }
})

# Stream logs
for log in client.logs.stream(job.run_id):
    print(f"[{log.level}] {log.message}")

# Get trained model
model = client.models.get(job.model_id)
model.download(format="adapter", path="./adapter")
"""
HELLO = [{"role": "user", "content": "Hello"}]


def filled(url: str, config: dict[str, object]) -> str:
    """The example, its blanks filled in."""
    nodes = json.dumps(config["nodes"]).replace('"<dataset>"', "dataset.dataset_id")
    edges = json.dumps(config["edges"])
    return (
        EXAMPLE.replace("http://localhost:8000", url)
        .replace('"nodes": [...]', f'"nodes": {nodes}')
        .replace('"edges": [...]', f'"edges": {edges}')
    )


@pytest.fixture(scope="module")
def sdk(platform: Platform) -> Iterator[Client]:
    with Client(platform.url, platform.admin_key) as client:
        yield client


@pytest.fixture(scope="module")
def port(sdk: Client) -> int:
    """Of a simulated instance."""
    return next(instance.port for instance in sdk.instances.list() if instance.name.startswith("Simulated"))


@pytest.fixture
async def asynchronous(platform: Platform) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(platform.url + "/api/v1", platform.admin_key) as client:
        yield client


@dataclass(frozen=True)
class Example:
    """What became of the example: what it wrote, and where."""

    lines: list[str]
    folder: Path
    run_id: str


@pytest.fixture(scope="module")
def example(platform: Platform, base_model: str, small_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("example")
    (folder / "training_data.csv").write_text("".join(small_csv.open(newline="").readlines()[:60]))
    job = pipeline("<dataset>", base_model, run_id="example", epochs=1)
    (folder / "example.py").write_text(filled(platform.url, job["pipeline_config"]))
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=folder,
        env={**os.environ, "LLM_PLATFORM_API_KEY": platform.admin_key},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with Client(platform.url, platform.admin_key) as client:
        return Example(done.stdout.splitlines(), folder, next(client.jobs.list()).run_id)


def test_the_example_of_document_e_runs_as_it_is_written(example: Example) -> None:
    assert example.lines[0].startswith("Dataset ID: ds_")
    assert any(line.startswith("[METRIC] ") for line in example.lines), example.lines
    files = {path.name for path in (example.folder / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= files
    assert not [name for name in files if name.startswith(".")], "nothing is left of the download"


def test_data_sets_are_uploaded_checked_listed_and_previewed(sdk: Client, small_csv: Path) -> None:
    through: list[tuple[int, int | None]] = []
    dataset = sdk.datasets.upload(small_csv, progress=lambda done, total: through.append((done, total)))
    size = small_csv.stat().st_size
    assert through[-1] == (size, size)
    assert dataset.sha256 == hashlib.sha256(small_csv.read_bytes()).hexdigest()
    assert sdk.datasets.get(dataset.dataset_id) == dataset
    assert dataset.dataset_id in [each.dataset_id for each in sdk.datasets.list(limit=50)]
    assert len(sdk.datasets.preview(dataset.dataset_id, limit=3).samples) == 3


def test_a_refused_upload_says_why_in_document_e_s_words(sdk: Client, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("no json")
    with pytest.raises(InvalidRequest) as refused:
        sdk.datasets.upload(tmp_path / "rows.json")
    assert (refused.value.code, refused.value.status) == ("DATASET_ERROR", 400)
    assert refused.value.request_id


def test_a_job_is_watched_to_its_end_and_its_files_are_fetched(sdk: Client, small_csv: Path, tmp_path: Path) -> None:
    dataset = sdk.datasets.upload(small_csv)
    job = sdk.jobs.create({"template": "validate", "dataset_id": dataset.dataset_id})
    told = list(sdk.jobs.watch(job.job_id))
    assert told[-1].type == "end"
    assert {"log", "progress"} <= {message.type for message in told}
    assert job.wait(timeout=30).status == "completed"
    with pytest.raises(JobFailed, match="without making a model"):
        _ = job.model_id
    for artifact in sdk.jobs.artifacts(job.job_id):
        path = sdk.jobs.download_artifact(job.job_id, artifact.name, tmp_path / "artifact")
        assert path.stat().st_size == artifact.size_bytes
    assert {template.template for template in sdk.jobs.templates()} >= {"validate", "finetune"}


def test_jobs_that_there_are_not_cannot_be_got_and_bad_ones_not_submitted(sdk: Client) -> None:
    with pytest.raises(NotFound) as missing:
        sdk.jobs.get("job_nobody")
    assert missing.value.code == "NOT_FOUND"
    with pytest.raises(ApiError) as invalid:
        sdk.jobs.create({"pipeline_config": {"nodes": [{"agent_name": "x", "agent_class": "NoAgent"}]}})
    assert invalid.value.status == 400
    with pytest.raises(NotFound):
        next(sdk.logs.stream("nobody"))
    with pytest.raises(NotFound):
        list(sdk.logs.history("nobody"))
    with pytest.raises(NotFound):
        sdk.models.get("model_nobody")
    with pytest.raises(ValueError, match="id"):
        sdk.models.get("")


def test_prompts_and_actions_are_made_executed_and_remembered(sdk: Client) -> None:
    prompt = sdk.prompts.create(name=f"Headline {uuid.uuid4().hex[:6]}", content="Write a headline about {topic}.")
    assert prompt.variables == ["topic"]
    assert sdk.prompts.update(prompt.id, content="Write a short headline about {topic}.").version == 2
    assert [version.version for version in sdk.prompts.versions(prompt.id)] == [2, 1]
    action = sdk.actions.create(
        field_name="headline", prompt_template_id=prompt.id, llm_model="simulated-small", max_tokens=8
    )
    run = sdk.actions.execute(action.id, {"topic": "castles"})
    assert run.status == "completed"
    assert "simulated" in run.output_data["headline"]
    assert [each.id for each in sdk.actions.runs(action.id)] == [run.id]
    assert sdk.actions.run(action.id, run.id) == run
    assert [entry.status for entry in sdk.actions.history(action.id)] == ["completed"]
    with pytest.raises(InvalidRequest, match="topic"):
        sdk.actions.execute(action.id, {})
    assert sdk.actions.update(action.id, temperature=0.1).temperature == 0.1
    assert action.id in [each.id for each in sdk.actions.list()]
    sdk.actions.delete(action.id)
    with pytest.raises(NotFound) as gone:
        sdk.actions.get(action.id)
    assert gone.value.code == "not_found"
    assert gone.value.metadata["troubleshooting"]
    saved = sdk.actions.save_template(
        source_field="headline_seed",
        template="Sum up: {headline_seed}",
        llm_model="simulated-small",
        temperature=0.2,
        max_tokens=40,
        template_name=f"Short {uuid.uuid4().hex[:6]}",
    )
    assert saved.template_id in [each.template_id for each in sdk.actions.templates("headline_seed").templates]
    assert sdk.prompts.test(prompt="Sum up:", input="A fox", model_name="simulated-small", max_tokens=5).duration > 0
    *pieces, result = sdk.prompts.test_stream(
        prompt="Sum up:", input="A fox", model_name="simulated-small", max_tokens=5
    )
    assert "".join(piece.content for piece in pieces) == result.result


def test_posts_and_what_is_written_about_them(sdk: Client) -> None:
    post = sdk.posts.create(title="Castles", summary="Five castles.")
    section = sdk.posts.create_section(post.id, title="Eilean Donan", content="On an island.")
    assert sdk.posts.update_section(post.id, section.id, content="On a small island.").content == "On a small island."
    assert [each.id for each in sdk.posts.sections(post.id)] == [section.id]
    assert sdk.posts.get(post.id).title == sdk.posts.update(post.id, summary="Four castles.").title
    assert sdk.content.generate_idea(topic="castles").title
    assert sdk.content.expand_section(section.id, tone="dry").content
    assert sdk.content.optimize_seo(post.id, keywords=["castles"]).meta_description
    assert set(sdk.content.generate_social(section.id, platforms=["tiktok"])) == {"tiktok"}
    with pytest.raises(NotFound):
        sdk.content.expand_section(10**9)
    sdk.posts.delete_section(post.id, section.id)
    sdk.posts.delete(post.id)
    assert post.id not in [each.id for each in sdk.posts.list()]


def test_the_configuration_and_engines_are_told(sdk: Client) -> None:
    assert sdk.config.get().provider_type
    assert "simulated-small" in [model.name for model in sdk.config.models()]
    name = f"sdk/model-{uuid.uuid4().hex[:6]}"
    sdk.config.update_model(name, fallbacks=["simulated-small"])
    assert sdk.config.model(name).fallbacks == ["simulated-small"]
    assert [engine for engine in sdk.engines.list() if engine.name.startswith("Simulated")]
    with pytest.raises(InvalidRequest):
        sdk.config.update(provider_type="no such provider")
    with pytest.raises(NotFound):
        sdk.engines.get(10**6)


def test_a_workflow_is_put_together_executed_watched_and_compared(sdk: Client, port: int) -> None:
    block = sdk.blocks.create(title="First", content="Name three {thing}.", tags="a,b", folder_path="sdk")
    assert sdk.blocks.list(folder="sdk", tag="a") == [block]
    assert sdk.blocks.update(block.id, content="Name five {thing}.").content == "Name five {thing}."
    payload = sdk.payloads.create(name="Initial", llm_port=port, response_length=20, blocks=[block.id])
    assert [each.id for each in sdk.payloads.get(payload.id).blocks] == [block.id]
    workflow = sdk.workflows.create(name="Analysis", payloads=[payload.id])
    started = sdk.workflows.execute(workflow.id, {"thing": "rivers"})
    seen = list(sdk.runs.follow(started.run_id))
    assert seen[-1].type == "workflow_completed"
    assert list(sdk.runs.follow(started.run_id, after=seen[0].id)) == seen[1:]
    run = sdk.runs.wait(started.run_id)
    assert run.status == "completed"
    assert run.responses == sdk.runs.responses(run.id)
    again = sdk.runs.wait(sdk.runs.fork(run.id, inputs={"thing": "lakes"}).run_id)
    compared = sdk.runs.compare(run.id, again.id)
    assert (compared.run.id, compared.other.id) == (run.id, again.id)
    assert again.id in [each.id for each in sdk.runs.list(workflow_id=workflow.id)]
    copy = sdk.workflows.import_document(sdk.workflows.export(workflow.id))
    schedule = sdk.workflows.create_schedule(copy.id, cron="0 0 1 1 *", inputs={"thing": "x"}, enabled=False)
    assert [each.id for each in sdk.workflows.schedules(copy.id)] == [schedule.id]
    assert sdk.workflows.create_webhook(copy.id, name="hook").url.startswith("/api/hooks/")
    with pytest.raises(Conflict):
        sdk.runs.resume(run.id)
    with pytest.raises(NotFound):
        sdk.workflows.execute(10**9)
    sdk.workflows.delete(workflow.id)
    sdk.payloads.delete(payload.id, force=True)
    sdk.blocks.delete(block.id, force=True)


async def test_events_come_over_the_web_socket(asynchronous: AsyncClient, port: int) -> None:
    client = asynchronous
    block = await client.blocks.create(title="Watched", content="Name a river.")
    payload = await client.payloads.create(name="Only", llm_port=port, response_length=10, blocks=[block.id])
    workflow = await client.workflows.create(name="Watched", payloads=[payload.id])
    started = await client.workflows.execute(workflow.id)
    types = []
    async with client.events.watch(run_id=started.run_id, after=0) as events:
        async for event in events:
            types.append(event.type)
            if event.type.startswith("workflow_"):
                break
    assert types[-2:] == ["payload_completed", "workflow_completed"]


def test_events_are_heard_by_a_blocking_client_too(sdk: Client, port: int) -> None:
    block = sdk.blocks.create(title="Heard", content="Name a lake.")
    payload = sdk.payloads.create(name="Heard", llm_port=port, response_length=10, blocks=[block.id])
    workflow = sdk.workflows.create(name="Heard", payloads=[payload.id])
    run_id = sdk.workflows.execute(workflow.id).run_id
    with sdk.events.watch(run_id=run_id, after=0) as events:
        last = next(event for event in events if event.type.startswith("workflow_"))
    assert last.data.run_id == run_id  # type: ignore[union-attr]


def test_instances_are_told_tried_and_registered(sdk: Client, port: int) -> None:
    assert sdk.instances.get(port) in sdk.instances.list()
    assert sdk.instances.test(port).connected
    assert sdk.instances.info(port).model_info
    with pytest.raises(NotFound) as missing:
        sdk.instances.get(4999)
    assert missing.value.code == "http_404"


def test_tasks_are_answered_or_planned(sdk: Client) -> None:
    assert sdk.tasks.create(prompt="What is the capital of France?").status == "Completed"
    planned = sdk.tasks.create(prompt="1. Name three engines.\n2. Compare their speed.\n3. Recommend one.")
    assert planned.task_id is not None
    assert sdk.tasks.wait(planned.task_id).status == "Completed"
    assert planned.task_id in [task.task_id for task in sdk.tasks.list()]
    sdk.profiles.put("Editor", system_prompt="Correct, do not rewrite.")
    assert sdk.profiles.get("Editor").system_prompt == "Correct, do not rewrite."
    assert "Chat-Agent" in [role.name for role in sdk.roles.list()]
    sdk.profiles.delete("Editor")
    with pytest.raises(NotFound, match="no such task"):
        sdk.tasks.get("nobody")


def test_chats_texts_responses_and_embeddings(sdk: Client) -> None:
    answer = sdk.chat.create(model="simulated-small", messages=HELLO, max_tokens=6)
    chunks = list(sdk.chat.stream(model="simulated-small", messages=HELLO, max_tokens=6))
    told = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert told == answer.choices[0].message.content
    assert sdk.chat.complete(model="simulated-small", prompt="To serialize,", max_tokens=4).choices[0].text
    assert sdk.chat.respond(model="simulated-small", input="Hello", max_output_tokens=16).output
    events = list(sdk.chat.respond_stream(model="simulated-small", input="Hello", max_output_tokens=64))
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert len(sdk.chat.embed(model="simulated-small", input=["a"], dimensions=8).data[0].embedding) == 8
    assert sdk.chat.model("simulated-small").id in [model.id for model in sdk.chat.models()]
    with pytest.raises(NotFound) as missing:
        sdk.chat.create(model="gpt-9", messages=HELLO)
    assert missing.value.code == "model_not_found"
    with pytest.raises(NotFound):
        next(sdk.chat.stream(model="gpt-9", messages=HELLO))


def test_keys_users_usage_and_the_platform(sdk: Client, platform: Platform) -> None:
    key = sdk.keys.create(name=f"sdk {uuid.uuid4().hex[:6]}", role="viewer")
    with Client(platform.url, key.key) as viewer:
        assert viewer.platform.me().role == "viewer"
        with pytest.raises(Forbidden):
            viewer.blocks.create(title="x", content="y")
        assert sdk.keys.update(key.key_id, requests_per_minute=300).requests_per_minute == 300
        assert key.key_id in [each.key_id for each in sdk.keys.list()]
        sdk.keys.revoke(key.key_id)
    with Client(platform.url, "llmp_nobody") as stranger, pytest.raises(Unauthenticated):
        stranger.blocks.list()
    user = sdk.users.create(name=f"ada-{uuid.uuid4().hex[:6]}", password="correct horse battery", role="member")
    assert sdk.users.update(user.user_id, role="viewer").role == "viewer"
    assert user.user_id in [each.user_id for each in sdk.users.list()]
    sdk.users.delete(user.user_id)
    assert sdk.platform.health().status == "healthy"
    assert sdk.platform.metrics(window=60).server_status == "online"
    assert sdk.platform.ready().status == "ready"
    assert next(sdk.usage.rows(group_by="model")).requests > 0
    newest = next(sdk.usage.interactions(limit=3))
    assert sdk.usage.interaction(newest.interaction_id).interaction_id == newest.interaction_id
    assert sdk.events.ticket().expires_in > 0


def test_lists_in_pages_are_read_to_their_end(sdk: Client) -> None:
    prompt = sdk.prompts.create(name=f"Many {uuid.uuid4().hex[:6]}", content="0")
    for number in range(1, 104):
        sdk.prompts.update(prompt.id, content=str(number))
    assert [version.content for version in sdk.prompts.versions(prompt.id)] == [str(n) for n in range(103, -1, -1)]
    assert len(list(sdk.prompts.versions(prompt.id, limit=101))) == 101


def test_the_wheel_stands_alone(tmp_path: Path) -> None:
    """No service's code is imported, even by all of it."""
    script = textwrap.dedent("""
        import pkgutil, sys, importlib, llm_platform
        for found in pkgutil.walk_packages(llm_platform.__path__, "llm_platform."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
        ours = {"contracts", "common", "gateway", "orchestrator", "trainer", "registry", "llm_router", "embedded"}
        sys.exit(str(ours & set(sys.modules)) if ours & set(sys.modules) else 0)
    """)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Connections that are cut in the middle


@pytest.fixture(scope="module")
def cutter(platform: Platform) -> Iterator[Cutter]:
    with Cutter(platform.url).listening() as cutter:
        yield cutter


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


# The example of the documentation, and the command line


def test_the_example_of_the_documentation_runs(platform: Platform) -> None:
    script = Path(__file__).parents[2] / "libs/sdk-python/examples/tour.py"
    environment = {**os.environ, "LLM_PLATFORM_URL": platform.url, "LLM_PLATFORM_API_KEY": platform.admin_key}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "404 NOT_FOUND" in done.stdout
