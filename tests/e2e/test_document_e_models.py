"""Document E's models: every exchange as documented, and then what it plans, on models that two jobs really train."""

import asyncio
import hashlib
import io
import tarfile
import uuid
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import gguf
import openai
import pytest
import yaml

from common.objects import Objects, S3Path
from embedded.endpoints import USERS, Endpoints
from embedded.platform import Platform
from embedded.secrets import Secrets
from tests.e2e.caller import Caller
from tests.e2e.documented import conforms
from tests.e2e.pipelines import pipeline

pytestmark = pytest.mark.e2e

Json = dict[str, Any]
MOMENT = "2025-12-13T01:00:00Z"
LISTED: Json = {
    "models": [
        {
            "model_id": "model_abc123",
            "run_id": "abc123",
            "model_name": "llama2-finetuned",
            "base_model": "meta-llama/Llama-2-7b-hf",
            "created_at": MOMENT,
            "metrics": {},
            "exports": ["adapter", "merged"],
        }
    ],
    "total": 1,
    "limit": 20,
    "offset": 0,
}
MODEL: Json = {
    "model_id": "model_abc123",
    "run_id": "abc123",
    "model_name": "llama2-finetuned",
    "base_model": "meta-llama/Llama-2-7b-hf",
    "dataset_id": "ds_xyz789",
    "training_config": {
        "method": "qlora",
        "lora_r": 16,
        "lora_alpha": 32,
        "epochs": 3.0,
        "batch_size": 4,
        "learning_rate": 2e-4,
    },
    "metrics": {"final_loss": 0.42},
    "exports": {"adapter": "s3://artifacts/abc123/adapter", "merged": "s3://artifacts/abc123/merged"},
    "created_at": MOMENT,
}
NOT_FOUND = {"error": "NOT_FOUND", "message": "Human-readable error message", "metadata": {}}


@dataclass(frozen=True)
class Trained:
    """Two versions of one name: the first an adapter, the second fine-tuned whole."""

    name: str
    first: Json
    second: Json


@pytest.fixture(scope="module")
async def trained(platform: Platform, base_model: str, small_csv: Path) -> Trained:
    name = f"llama2-finetuned-{uuid.uuid4().hex[:6]}"
    async with Caller(platform.url, platform.admin_key) as caller:
        dataset_id = await caller.upload_dataset(small_csv)
        models = []
        for formats, training in (
            (["adapter", "merged", "gguf"], {"max_steps": 12}),
            (["merged"], {"max_steps": 4, "method": "full", "learning_rate": 1e-4}),
        ):
            run_id = f"run-{uuid.uuid4().hex[:8]}"
            job = pipeline(dataset_id, base_model, run_id=run_id, logging_steps=2, **training)
            configs = {node["agent_name"]: node["config"] for node in job["pipeline_config"]["nodes"]}
            configs["export"].update(formats=formats, quantization=["f16", "q8_0"])
            configs["evaluation"].update(generation_rows=2, max_new_tokens=8)
            configs["registration"].update(model_name=name, tags=["nightly"])
            accepted = await caller.post("/api/v1/jobs", job)
            ended = await caller.job_when(accepted["job_id"], timeout=200)
            assert ended["status"] == "completed", ended
            models.append(await caller.get(f"/api/v1/models/{ended['model_id']}"))
    return Trained(name, *models)


@pytest.fixture
async def session(platform: Platform) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {platform.admin_key}"}
    async with aiohttp.ClientSession(platform.url, headers=headers) as session:
        yield session


async def ok(caller: Caller, method: str, path: str) -> Json:
    status, body = await caller.call(method, path, **({} if method == "DELETE" else {"json": {}}))
    assert status == 200, body
    answer: Json = body
    return answer


async def answers_with(caller: Caller, model: str, status: int) -> None:
    """Returns once a question to the model has that status."""
    question = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
    async with asyncio.timeout(60):
        while (await caller.call("POST", "/v1/chat/completions", json=question))[0] != status:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def answering_model(caller: Caller, reference: str) -> str:
    """Which version answered, by what it says itself and by the record of the question."""
    question = uuid.uuid4().hex
    body = {"model": reference, "max_tokens": 2, "messages": [{"role": "user", "content": question}]}
    told = (await caller.patiently("POST", "/v1/chat/completions", json=body))["model"]
    async with asyncio.timeout(30):
        while True:
            page = await caller.get("/api/v1/llm/interactions?limit=100")
            for interaction in page["items"]:
                if question in interaction["input_text"]:
                    assert interaction["model"] == told
                    model: str = told
                    return model
            await asyncio.sleep(0.2)


async def test_models_are_listed_and_read_as_documented(caller: Caller, trained: Trained) -> None:
    page = await caller.get(f"/api/v1/models?limit=20&offset=0&model_name={trained.name}")
    conforms(page, LISTED)
    assert (page["total"], page["has_more"]) == (2, False)
    assert [model["version"] for model in page["models"]] == [2, 1]
    assert sorted(page["models"][1]["exports"]) == ["adapter", "gguf", "merged"]
    conforms(trained.first, MODEL)
    assert trained.first["training_config"]["max_steps"] == 12
    assert {"exact_match", "token_f1", "rouge_l", "base_rouge_l"} <= trained.first["metrics"].keys()
    by_base = await caller.get(f"/api/v1/models?base_model={trained.first['base_model']}&tag=nightly&format=gguf")
    assert [model["model_id"] for model in by_base["models"]] == [trained.first["model_id"]]
    for path in ("/api/v1/models/nobody", "/api/v1/models/nobody/card", f"/api/v1/models/{trained.name}@9"):
        status, body = await caller.call("GET", path)
        assert status == 404
        conforms(body, NOT_FOUND)


async def test_a_model_is_downloaded_as_documented_whole_and_in_part(
    session: aiohttp.ClientSession, trained: Trained
) -> None:
    path = f"/api/v1/models/{trained.first['model_id']}/download"
    async with session.get(path, params={"format": "adapter"}) as response:
        archive = await response.read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name.split("/", 1)[1]: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    sums = dict(reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= files.keys()
    async with session.get(path, params={"format": "adapter"}, headers={"Range": "bytes=1000-"}) as response:
        assert response.status == 206
        assert await response.read() == archive[1000:]
    async with session.get(path, params={"format": "merged", "presigned": "true"}) as response:
        urls = {file["name"]: file["url"] for file in (await response.json())["files"]}
    async with aiohttp.ClientSession() as anyone, anyone.get(urls["config.json"]) as response:
        assert "LlamaForCausalLM" in await response.text()


async def test_a_gguf_file_is_downloaded_by_its_type(
    session: aiohttp.ClientSession, trained: Trained, tmp_path: Path
) -> None:
    path = f"/api/v1/models/{trained.name}@1/download"
    async with session.get(path, params={"format": "gguf", "quantization": "Q8_0"}) as response:
        assert response.headers["Content-Disposition"].endswith(f"{trained.name}-Q8_0.gguf")
        (tmp_path / "model.gguf").write_bytes(await response.read())
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    assert {tensor.tensor_type.name for tensor in reader.tensors} == {"Q8_0", "F32"}
    agreed = {check["quantization"] or check["format"]: check["top1_agreement"] for check in trained.first["checks"]}
    assert agreed["adapter"] == 1.0
    assert agreed["F16"] > 0.95
    async with session.get(path, params={"format": "gguf", "quantization": "Q4_0"}) as response:
        assert response.status == 404


async def test_a_card_and_a_plot_describe_the_model(session: aiohttp.ClientSession, trained: Trained) -> None:
    path = f"/api/v1/models/{trained.first['model_id']}"
    async with session.get(f"{path}/card") as response:
        assert response.content_type == "text/markdown"
        card = await response.text()
    _, metadata, body = card.split("---\n", 2)
    assert yaml.safe_load(metadata)["base_model"] == trained.first["base_model"]
    for heading in (f"# {trained.name}", "## Model Description", "## Training Configuration", "## Evaluation Metrics"):
        assert heading.replace("-", "") in body.replace("-", "").replace("\\", "")
    assert f"{path}/loss.svg" in body
    async with session.get(f"{path}/loss.svg") as response:
        assert response.content_type == "image/svg+xml"
        image = ET.fromstring(await response.text())  # noqa: S314 - our own
        assert image.findall("{http://www.w3.org/2000/svg}polyline")


async def test_a_model_is_followed_back_to_its_rows_and_compared(caller: Caller, trained: Trained) -> None:
    lineage = await caller.get(f"/api/v1/models/{trained.name}@1/lineage")
    kinds = [step["kind"] for step in lineage["steps"]]
    assert kinds == ["model", *["export"] * 3, "evaluation", "training", "preprocessing", "dataset", "file"]
    assert lineage["steps"][-1]["details"]["sha256"] == lineage["steps"][-2]["details"]["sha256"]
    compared = await caller.get(f"/api/v1/models/{trained.name}@1/compare/{trained.name}@2")
    assert {difference["name"] for difference in compared["training_config"]} >= {"max_steps"}
    (loss,) = [metric for metric in compared["metrics"] if metric["name"] == "eval_loss"]
    assert loss["better"] == trained.first["model_id"]


async def test_an_alias_moves_under_load_without_a_failed_request(
    platform: Platform, caller: Caller, client: openai.OpenAI, session: aiohttp.ClientSession, trained: Trained
) -> None:
    """From an adapter to a whole model and back, while callers stream; at the end a router dies right after a move."""
    production = f"{trained.name}@production"
    first, second = f"{trained.name}@1", f"{trained.name}@2"

    async def moves(target: str) -> None:
        async with asyncio.timeout(60):
            while await answering_model(caller, production) != target:  # noqa: ASYNC110 - asked, not waited for
                await asyncio.sleep(0.1)

    await ok(caller, "PUT", f"/api/v1/models/{trained.name}@1/aliases/production")
    await moves(first)
    ends: Counter[str] = Counter()
    done = asyncio.Event()

    async def ask() -> None:
        question = {"model": production, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]}
        while not done.is_set():
            async with session.post("/v1/chat/completions", json={**question, "stream": True}) as response:
                frames = (await response.text()).strip().split("\n\n")
            ends["whole" if response.status == 200 and "error" not in frames[-2] else frames[-1]] += 1
            assert frames[-1] == "data: [DONE]"

    callers = [asyncio.create_task(ask()) for _ in range(4)]
    for target in (second, first, second):
        moved = await ok(caller, "PUT", f"/api/v1/models/{target}/aliases/production")
        assert moved["version"] == int(target[-1])
        await moves(target)
    done.set()
    await asyncio.gather(*callers)
    assert ends.keys() == {"whole"}
    assert ends["whole"] > 10
    await ok(caller, "PUT", f"/api/v1/models/{first}/aliases/production")
    await asyncio.to_thread(platform.wait_restarted, "llm_router", platform.kill("llm_router"))
    await moves(first)
    for reference in (first, f"{trained.name}@latest", production, trained.name):
        assert client.models.retrieve(reference).id == reference
    listed = {model.id for model in client.models.list()}
    assert {production, trained.name, trained.first["model_id"], trained.second["model_id"]} <= listed


async def test_a_model_is_undeployed_deployed_and_deleted(platform: Platform, caller: Caller, trained: Trained) -> None:
    second = trained.second["model_id"]
    await ok(caller, "PUT", f"/api/v1/models/{second}/aliases/production")
    for method, path in (("POST", f"{second}/undeploy"), ("DELETE", second)):
        status, body = await caller.call(method, f"/api/v1/models/{path}", **({"json": {}} if method == "POST" else {}))
        assert status == 409, body
        assert "production" in body["message"]
    await ok(caller, "DELETE", f"/api/v1/models/{second}/aliases/production")
    assert (await caller.post(f"/api/v1/models/{second}/undeploy", {}))["status"] == "undeployed"
    await answers_with(caller, second, 404)
    assert trained.name in (await caller.post(f"/api/v1/models/{second}/deploy", {}))["names"]
    await answers_with(caller, second, 200)
    deleted = await ok(caller, "DELETE", f"/api/v1/models/{second}?force=true")
    assert (deleted["freed_bytes"] > 0, deleted["pending"]) == (True, False)
    access = Endpoints.of(platform.ports(), Secrets.load(platform.data_dir, USERS))["gateway"]
    objects = Objects(access.s3_endpoint, access.s3_access_key, access.s3_secret_key)
    run, other = (S3Path("artifacts", f"{model['run_id']}/") for model in (trained.second, trained.first))
    kept = {info.path.key.removeprefix(run.key) for info in objects.list(run)}
    assert kept <= {"validation/report.json"}, "of its run, what says something of the data alone is left"
    assert {"export", "preprocessing"} <= {info.path.key.split("/")[1] for info in objects.list(other)}
    async with asyncio.timeout(30):
        while (platform.data_dir / "adapters" / second).exists():  # noqa: ASYNC110 - nothing tells when it is done
            await asyncio.sleep(0.1)
    assert (await caller.call("GET", f"/api/v1/models/{second}"))[0] == 404
