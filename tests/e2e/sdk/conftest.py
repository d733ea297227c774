"""The SDKs against the whole platform: a client, one whose way is cut, the model that document E makes, Node."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedded.platform import Platform
from llm_platform import Client
from tests.e2e.cutting import Cutter
from tests.e2e.pipelines import pipeline
from tests.e2e.sdk.node import Node, build

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


def filled(url: str, config: dict[str, object]) -> str:
    """The example, its blanks filled in."""
    nodes = json.dumps(config["nodes"]).replace('"<dataset>"', "dataset.dataset_id")
    edges = json.dumps(config["edges"])
    return (
        EXAMPLE.replace("http://localhost:8000", url)
        .replace('"nodes": [...]', f'"nodes": {nodes}')
        .replace('"edges": [...]', f'"edges": {edges}')
    )


@pytest.fixture(scope="session")
def sdk(platform: Platform) -> Iterator[Client]:
    with Client(platform.url, platform.admin_key) as client:
        yield client


@pytest.fixture(scope="session")
def port(sdk: Client) -> int:
    """Of a simulated instance."""
    return next(instance.port for instance in sdk.instances.list() if instance.name.startswith("Simulated"))


@dataclass(frozen=True)
class Example:
    """What became of the example: what it wrote, and where."""

    lines: list[str]
    folder: Path
    run_id: str


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def cutter(platform: Platform) -> Iterator[Cutter]:
    with Cutter(platform.url).listening() as cutter:
        yield cutter


@pytest.fixture(scope="session")
def built() -> Path:
    """The package for JavaScript, built as its users would."""
    return build()


@pytest.fixture(scope="session")
def node(built: Path, platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node.with_package(built, tmp_path_factory.mktemp("node"), platform)
